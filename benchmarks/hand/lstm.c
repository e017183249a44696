/* Character LSTM: 64 symbols, 128 -> 256, 128 steps, batch 32: one training step in one parallel region.

   The input's projection is made once for each symbol and gathered (E @ W is 64 rows, not 4096): the same algebra with
   3.2 of 10 GFLOP left out, which no peer does. Each thread owns some of the units with all four gates; one barrier for
   each time step. */
#include "kernels.h"
#define UNITS (H / NT) /* of a thread */
#define GROUPS (H / 16 / NT)
#define V 64
#define D 128
#define H 256
#define T 128
#define B 32
#define G 1024
#define LG (G + 16) /* row stride of the gates: no multiple of 4096 bytes */
float *E, *ME, *Wi, *MWi, *Wh, *MWh, *bi, *mbi, *bh, *mbh, *Wo, *MWo, *bo, *mbo, *WhT, *WiT, *WoT, *Z, *dZ, *gt, *c, *h,
    *dh, *dl, *dWh, *dWo[NT], *dE;
int *tok, *y;
float loss;
void init(void) {
  static float *s;
  s = huge(80L << 20);
#define A(p, n) \
  p = s;        \
  s += ((n) + 15) / 16 * 16 + 16
  A(E, V * D);
  A(ME, V * D);
  A(Wi, D * G);
  A(MWi, D * G);
  A(Wh, H * G);
  A(MWh, H * G);
  A(bi, G);
  A(mbi, G);
  A(bh, G);
  A(mbh, G);
  A(Wo, H * V);
  A(MWo, H * V);
  A(bo, V);
  A(mbo, V);
  A(WhT, H * G);
  A(WiT, D * G);
  A(WoT, H * V);
  A(Z, V * G);
  A(dZ, V * G);
  A(gt, (long)T * B * LG);
  A(c, (T + 1) * B * H);
  A(h, (T + 1) * B * H);
  A(dh, T * B * H);
  A(dl, T * B * V);
  A(dWh, H * G);
  for (int t = 0; t < NT; t++) { A(dWo[t], H * V + V); }
  A(dE, V * D);
  tok = (int *)s;
  y = tok + T * B;
}
/* Packed: Wh[u][k][gate][16], u = 16-unit group; WhT[j: 32-unit group][col 0..1023][32]; gate column = u*64 + gate*16 +
 * lane. */
static void trans(int t) {
  for (int u = t * GROUPS; u < (t + 1) * GROUPS; u++)
    for (int ga = 0; ga < 4; ga++) {
      for (int k = 0; k < H; k += 16)
        tr16(Wh + ((long)u * H + k) * 64 + ga * 16, 64,
             WhT + (long)(k / 32) * G * 32 + (u * 64 + ga * 16) * 32 + k % 32, 32);
      for (int k = 0; k < D; k += 16)
        tr16(Wi + ((long)u * D + k) * 64 + ga * 16, 64, WiT + (u * 64 + ga * 16) * D + k, D);
    }
  for (int k = t * UNITS; k < (t + 1) * UNITS; k += 16)
    for (int v = 0; v < V; v += 16) tr16(Wo + k * V + v, V, WoT + v * H + k, H);
}
static float losses[NT];
/* 16 numbers of the head's gradient: the sum over the threads. */
INL v16 head(long i) {
  v16 s = LD(dWo[0] + i);
  for (int t = 1; t < NT; t++) s += LD(dWo[t] + i);
  return s;
}
void step(void) {
#pragma omp parallel num_threads(NT)
  {
    int t = omp_get_thread_num();
    trans(t);
    for (int u = t * GROUPS; u < (t + 1) * GROUPS;
         u++) { /* Z = E @ Wi + bi + bh : the projection of every symbol of the alphabet, own columns */
      for (int i = 0; i < V; i += 4) {
        v16 acc[4][4];
        EACH(4, 4) acc[p][v] = LD(bi + u * 64 + v * 16) + LD(bh + u * 64 + v * 16);
        MK(4, 4, D, E + i * D, D, 1, Wi + (long)u * D * 64, 64, acc);
        EACH(4, 4) ST(Z + (i + p) * G + u * 64 + v * 16, acc[p][v]);
      }
      for (int i = 0; i < V; i++) memset(dZ + i * G + u * 64, 0, 256);
    }
    memset(h + t * (B / NT) * H, 0, B / NT * H * 4);
    memset(c + t * (B / NT) * H, 0, B / NT * H * 4);
#pragma omp barrier
    float z[B * 64] __attribute__((aligned(64)));
    for (int s = 0; s < T; s++) {
      const float *hp = h + (long)s * B * H, *cp = c + (long)s * B * H;
      float *hn = h + (long)(s + 1) * B * H, *cn = c + (long)(s + 1) * B * H, *gs = gt + (long)s * B * LG;
      const int *tk = tok + s * B;
      for (int u = t * GROUPS; u < (t + 1) * GROUPS; u++) {
#define BF(P)                                                                 \
  {                                                                           \
    v16 acc[P][2];                                                            \
    EACH(P, 2) acc[p][v] = LD(Z + tk[i + p] * G + u * 64 + hf * 32 + v * 16); \
    MK(P, 2, H, hp + i * H, H, 1, Wh + (long)u * H * 64 + hf * 32, 64, acc);  \
    EACH(P, 2) ST(z + (i + p) * 64 + hf * 32 + v * 16, acc[p][v]);            \
    i += P;                                                                   \
  }
        for (int hf = 0; hf < 2; hf++)
          for (int i = 0; i < B;) {
            if (i < 24) BF(12) else BF(8)
          }
        for (int b = 0; b < B; b++) {
          v16 I = sigmoidv(LD(z + b * 64)), F = sigmoidv(LD(z + b * 64 + 16)), Gg = tanhv(LD(z + b * 64 + 32)),
              O = sigmoidv(LD(z + b * 64 + 48));
          v16 C = F * LD(cp + b * H + u * 16) + I * Gg;
          ST(cn + b * H + u * 16, C);
          ST(hn + b * H + u * 16, O * tanhv(C));
          float *g = gs + b * LG + u * 64;
          ST(g, I);
          ST(g + 16, F);
          ST(g + 32, Gg);
          ST(g + 48, O);
        }
      }
#pragma omp barrier
    }
    /* head on this thread's half of the rows (row = s*B + b) */
    float ls = 0;
    const float *hs = h + B * H;
    float *dwo = dWo[t];
    memset(dwo, 0, 4 * (H * V + V));
    for (int r = t * (T * B / NT); r < (t + 1) * (T * B / NT); r += 32) {
      for (int i = r; i < r + 32; i += 4) {
        v16 acc[4][4];
        EACH(4, 4) acc[p][v] = LD(bo + v * 16);
        MK(4, 4, H, hs + (long)i * H, H, 1, Wo, V, acc);
        for (int p = 0; p < 4; p++) {
          float m = hmax((v16)_mm512_max_ps(_mm512_max_ps((__m512)acc[p][0], (__m512)acc[p][1]),
                                            _mm512_max_ps((__m512)acc[p][2], (__m512)acc[p][3])));
          float *d = dl + (long)(i + p) * V;
          v16 e[4], sm = {0};
          for (int v = 0; v < 4; v++) {
            ST(d + v * 16, acc[p][v]);
            e[v] = expv(acc[p][v] - m);
            sm += e[v];
          }
          float S = hsum(sm);
          ls += logf(S) + m - d[y[i + p]];
          for (int v = 0; v < 4; v++) { ST(d + v * 16, e[v] / (S * (T * B))); }
          d[y[i + p]] -= 1.f / (T * B);
          for (int v = 0; v < 4; v++) ST(dwo + H * V + v * 16, LD(dwo + H * V + v * 16) + LD(d + v * 16));
        }
      }
      for (int n = 0; n < H; n += 32)
        for (int i = r; i < r + 32; i += 8) {
          v16 acc[8][2];
          ZERO(8, 2, acc);
          MK(8, 2, V, dl + (long)i * V, V, 1, WoT + n, H, acc);
          EACH(8, 2) ST(dh + (long)(i + p) * H + n + v * 16, acc[p][v]);
        }
      if ((r & 127) == 96)
        for (int k = 0; k < H; k += 4) {
          v16 acc[4][4];
          EACH(4, 4) acc[p][v] = LD(dwo + (k + p) * V + v * 16);
          MK(4, 4, 128, hs + (long)(r - 96) * H + k, 1, H, dl + (long)(r - 96) * V, V, acc);
          EACH(4, 4) ST(dwo + (k + p) * V + v * 16, acc[p][v]);
        }
    }
    losses[t] = ls;
#pragma omp barrier
    static float dcb[NT][B * UNITS] __attribute__((aligned(64))), dhb[NT][B * UNITS] __attribute__((aligned(64)));
    float *dc = dcb[t], *dr = dhb[t];
    memset(dc, 0, B * UNITS * 4);
    memset(dr, 0, B * UNITS * 4);
    for (int s = T - 1; s >= 0; s--) {
      float *gs = gt + (long)s * B * LG;
      const float *cp = c + (long)s * B * H, *cn = c + (long)(s + 1) * B * H;
      const int *tk = tok + s * B;
      for (int b = 0; b < B; b++)
        for (int u = 0; u < GROUPS; u++) {
          float *g = gs + b * LG + (t * GROUPS + u) * 64, *q = dZ + tk[b] * G + (t * GROUPS + u) * 64;
          int n = b * H + (t * GROUPS + u) * 16;
          v16 I = LD(g), F = LD(g + 16), Gg = LD(g + 32), O = LD(g + 48), C = tanhv(LD(cn + n)), one = SPLAT(1.f);
          v16 dH = LD(dh + (long)s * B * H + n) + LD(dr + b * UNITS + u * 16),
              dC = LD(dc + b * UNITS + u * 16) + dH * O * (one - C * C);
          v16 di = dC * Gg * I * (one - I), df = dC * LD(cp + n) * F * (one - F), dg = dC * I * (one - Gg * Gg),
              dO = dH * C * O * (one - O);
          ST(dc + b * UNITS + u * 16, dC * F);
          ST(g, di);
          ST(g + 16, df);
          ST(g + 32, dg);
          ST(g + 48, dO);
          ST(q, LD(q) + di);
          ST(q + 16, LD(q + 16) + df);
          ST(q + 32, LD(q + 32) + dg);
          ST(q + 48, LD(q + 48) + dO);
        }
#pragma omp barrier
      if (s)
        for (int j = t * GROUPS / 2; j < (t + 1) * GROUPS / 2; j++) {
#define BB(P)                                                                            \
  {                                                                                      \
    v16 acc[P][2];                                                                       \
    ZERO(P, 2, acc);                                                                     \
    MK(P, 2, G, gs + (long)i * LG, LG, 1, WhT + (long)j * G * 32, 32, acc);              \
    EACH(P, 2) ST(dr + (i + p) * UNITS + (j - t * GROUPS / 2) * 32 + v * 16, acc[p][v]); \
    i += P;                                                                              \
  }
          for (int i = 0; i < B;) {
            if (i < 24) BB(12) else BB(8)
          }
        }
    }
    /* sunk weight gradient dWh = sum over all (t, b) of h^T dgates, own columns, 128 rows at a time */
    static float pkb[NT][128 * 32] __attribute__((aligned(64)));
    float *pk = pkb[t];
    for (int u = t * GROUPS; u < (t + 1) * GROUPS; u++) memset(dWh + (long)u * H * 64, 0, H * 64 * 4);
    for (long r = 0; r < T * B; r += 128)
      for (int u = t * GROUPS * 2; u < (t + 1) * GROUPS * 2; u++) {
        for (int i = 0; i < 128; i++) {
          ST(pk + i * 32, LD(gt + (r + i) * LG + u * 32));
          ST(pk + i * 32 + 16, LD(gt + (r + i) * LG + u * 32 + 16));
        }
        float *w = dWh + (long)(u / 2) * H * 64 + (u & 1) * 32;
#define BW(P)                                             \
  {                                                       \
    v16 acc[P][2];                                        \
    EACH(P, 2) acc[p][v] = LD(w + (k + p) * 64 + v * 16); \
    MK(P, 2, 128, h + r * H + k, 1, H, pk, 32, acc);      \
    EACH(P, 2) ST(w + (k + p) * 64 + v * 16, acc[p][v]);  \
    k += P;                                               \
  }
        for (int k = 0; k < H;) {
          if (H - k >= 12) BW(12) else BW(4)
        }
      }
#pragma omp barrier
    /* small products on the alphabet, updates */
    for (int i = t * (V / NT); i < (t + 1) * (V / NT); i += 8)
      for (int n = 0; n < D; n += 32) {
        v16 acc[8][2];
        ZERO(8, 2, acc);
        MK(8, 2, G, dZ + (long)i * G, G, 1, WiT + n, D, acc);
        EACH(8, 2) ST(dE + (i + p) * D + n + v * 16, acc[p][v]);
      }
    for (int u = t * GROUPS; u < (t + 1) * GROUPS; u++) {
      v16 sb[4] = {0};
      for (int i = 0; i < V; i++)
        for (int v = 0; v < 4; v++) sb[v] += LD(dZ + i * G + u * 64 + v * 16);
      for (int v = 0; v < 4; v++) {
        sgd(bi + u * 64 + v * 16, mbi + u * 64 + v * 16, sb[v]);
        sgd(bh + u * 64 + v * 16, mbh + u * 64 + v * 16, sb[v]);
      }
      for (long i = (long)u * H * 64; i < (long)(u + 1) * H * 64; i += 16) sgd(Wh + i, MWh + i, LD(dWh + i));
    }
#pragma omp barrier
    for (int u = t * GROUPS; u < (t + 1) * GROUPS; u++)
      for (int k = 0; k < D; k += 4) {
        v16 acc[4][4];
        ZERO(4, 4, acc);
        MK(4, 4, V, E + k, 1, D, dZ + u * 64, G, acc);
        EACH(4, 4)
        sgd(Wi + (long)u * D * 64 + (k + p) * 64 + v * 16, MWi + (long)u * D * 64 + (k + p) * 64 + v * 16, acc[p][v]);
      }
    for (int i = t * H * V / NT; i < (t + 1) * H * V / NT; i += 16) sgd(Wo + i, MWo + i, head(i));
#pragma omp barrier
    for (int i = t * V * D / NT; i < (t + 1) * V * D / NT; i += 16) sgd(E + i, ME + i, LD(dE + i));
    if (t == 0) {
      for (int v = 0; v < V; v += 16) sgd(bo + v, mbo + v, head(H * V + v));
      loss = 0;
      for (int i = 0; i < NT; i++) loss += losses[i] / (T * B);
    }
  }
}
