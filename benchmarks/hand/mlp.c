/* MLP 784-512-512-10, relu, batch 128: one training step in one parallel region.

   Weights live in panels [N/32][K][32]; each thread owns some of the columns. Weight gradients are never stored: SGD is
   their epilogue. */
#include "kernels.h"
#define B 128
#define I 784
#define H 512
float *W1, *M1, *b1, *mb1, *W2, *M2, *b2, *mb2, *W3, *M3, *b3, *mb3, *W2T, *W3T, *x, *h1, *h2, *dl, *d2, *d1;
int *y;
float loss;
void init(void) {
  W1 = huge(4 * I * H);
  M1 = huge(4 * I * H);
  W2 = huge(4 * H * H);
  M2 = huge(4 * H * H);
  W2T = huge(4 * H * H);
  float *s = huge(4 * (2 << 20));
#define A(p, n) \
  p = s;        \
  s += (n + 15) / 16 * 16
  A(b1, H);
  A(mb1, H);
  A(b2, H);
  A(mb2, H);
  A(W3, H * 16);
  A(M3, H * 16);
  A(b3, 16);
  A(mb3, 16);
  A(W3T, 16 * H);
  A(x, B * I);
  A(h1, B * H);
  A(h2, B * H);
  A(dl, B * 16);
  A(d2, B * H);
  A(d1, B * H);
  y = (int *)s;
}
#define NP 32 /* width of a panel */
#define PAN(W, K, n) (W + (long)(n) * (K))
INL void fwd(const float *X, int K, const float *W, const float *b, float *out, int n0, int n1) {
  for (int n = n0; n < n1; n += NP) {
    const float *w = PAN(W, K, n);
#define BLK(P)                                                      \
  {                                                                 \
    v16 acc[P][2];                                                  \
    EACH(P, 2) acc[p][v] = LD(b + n + v * 16);                      \
    MK(P, 2, K, X + (long)i * K, K, 1, w, NP, acc);                 \
    EACH(P, 2) ST(out + (i + p) * H + n + v * 16, relu(acc[p][v])); \
    i += P;                                                         \
  }
    for (int i = 0; i < B;) {
      if (B - i >= 12) BLK(12) else BLK(8)
    }
  }
}
INL void dgrad(const float *dy, const float *WT, const float *hh, float *out, int n0, int n1) {
  for (int n = n0; n < n1; n += NP) {
    const float *w = PAN(WT, H, n);
#define BLD(P)                                                                                            \
  {                                                                                                       \
    v16 acc[P][2];                                                                                        \
    ZERO(P, 2, acc);                                                                                      \
    MK(P, 2, H, dy + (long)i * H, H, 1, w, NP, acc);                                                      \
    EACH(P, 2) ST(out + (i + p) * H + n + v * 16, maskpos(LD(hh + (i + p) * H + n + v * 16), acc[p][v])); \
    i += P;                                                                                               \
  }
    for (int i = 0; i < B;) {
      if (B - i >= 12) BLD(12) else BLD(8)
    }
  }
}
INL void wgrad(const float *X, int K, const float *dy, float *W, float *M, float *b, float *mb, int n0, int n1) {
  float pk[B * NP] __attribute__((aligned(64)));
  for (int n = n0; n < n1; n += NP) {
    float *w = PAN(W, K, n), *m = PAN(M, K, n);
    v16 s0 = {0}, s1 = {0};
    for (int i = 0; i < B; i++) {
      v16 a = LD(dy + i * H + n), c = LD(dy + i * H + n + 16);
      ST(pk + i * NP, a);
      ST(pk + i * NP + 16, c);
      s0 += a;
      s1 += c;
    }
#define BLW(P)                                                                       \
  {                                                                                  \
    v16 acc[P][2];                                                                   \
    ZERO(P, 2, acc);                                                                 \
    MK(P, 2, B, X + k, 1, K, pk, NP, acc);                                           \
    EACH(P, 2) sgd(w + (k + p) * NP + v * 16, m + (k + p) * NP + v * 16, acc[p][v]); \
    k += P;                                                                          \
  }
    for (int k = 0; k < K;) {
      if (K - k >= 12) BLW(12) else if (K - k >= 8) BLW(8) else BLW(4)
    }
    sgd(b + n, mb + n, s0);
    sgd(b + n + 16, mb + n + 16, s1);
  }
}
static float losses[NT][16];
void step(void) {
#pragma omp parallel num_threads(NT)
  {
    int t = omp_get_thread_num(), n0 = t * (H / NT), n1 = n0 + H / NT;
    fwd(x, I, W1, b1, h1, n0, n1);
#pragma omp barrier
    fwd(h1, H, W2, b2, h2, n0, n1);
    /* transposed copy of this thread's half of W2 (old values) for the data gradient: W2T panels over k */
    for (int k = n0; k < n1; k += 16)
      for (int n = 0; n < H; n += 16)
        tr16(PAN(W2, H, n & ~31) + k * NP + (n & 31), NP, PAN(W2T, H, k & ~31) + n * NP + (k & 31), NP);
    for (int k = n0; k < n1; k += 16) tr16(W3 + k * 16, 16, W3T + k, H);
#pragma omp barrier
    float ls = 0;
    for (int i = t * (B / NT); i < (t + 1) * (B / NT); i += 8) {
      v16 acc[8][1];
      EACH(8, 1) acc[p][v] = LD(b3);
      MK(8, 1, H, h2 + i * H, H, 1, W3, 16, acc);
      for (int p = 0; p < 8; p++) {
        __m512 z = _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), 0x3ff, (__m512)acc[p][0]);
        float mx = _mm512_reduce_max_ps(z);
        v16 e = (v16)_mm512_maskz_mov_ps(0x3ff, (__m512)expv((v16)z - mx));
        float s = hsum(e);
        float *d = dl + (i + p) * 16;
        ls += logf(s) + mx - acc[p][0][y[i + p]];
        ST(d, e / (s * B));
        d[y[i + p]] -= 1.f / B;
      }
    }
    losses[t][0] = ls;
#pragma omp barrier
    for (int n = n0; n < n1; n += 32)
      for (int i = 0; i < B; i += 8) {
        v16 acc[8][2];
        ZERO(8, 2, acc);
        MK(8, 2, 10, dl + i * 16, 16, 1, W3T + n, H, acc);
        EACH(8, 2) ST(d2 + (i + p) * H + n + v * 16, maskpos(LD(h2 + (i + p) * H + n + v * 16), acc[p][v]));
      }
    for (int k = n0; k < n1; k += 16) {
      v16 acc[16][1];
      ZERO(16, 1, acc);
      MK(16, 1, B, h2 + k, 1, H, dl, 16, acc);
      EACH(16, 1) sgd(W3 + (k + p) * 16, M3 + (k + p) * 16, acc[p][0]);
    }
    if (t == 0) {
      v16 s = {0};
      for (int i = 0; i < B; i++) s += LD(dl + i * 16);
      sgd(b3, mb3, s);
      loss = 0;
      for (int i = 0; i < NT; i++) loss += losses[i][0] / B;
    }
#pragma omp barrier
    dgrad(d2, W2T, h1, d1, n0, n1);
    wgrad(h1, H, d2, W2, M2, b2, mb2, n0, n1);
#pragma omp barrier
    wgrad(x, I, d1, W1, M1, b1, mb1, n0, n1);
#pragma omp barrier
  }
}
