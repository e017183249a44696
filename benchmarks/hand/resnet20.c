/* ResNet-20 on 32 x 32 pictures, batch 128: one training step in one parallel region, without Winograd.

   Pictures are padded, channels last; weights are packed [K/16][9][C][16] with flipped and transposed copies for the
   data gradients, refreshed after the update. Threads split the batch. What a convolution reads is normalised into a
   scratch that stays in the second-level cache, picture by picture, and made again in the backward pass. Sums of
   batch norm are epilogues, shifted by the mean of the step before. */
#include "kernels.h"
#define N 128
typedef struct {
  int C, K, HI, S;
  float *w, *m, *wf, *dw[NT], *y;
  float *ga, *be, *mga, *mbe;
  float st[NT][2][64], gs[NT][2][64];
  float mean[64], inv[64], mu[64];
} L;
L l[21]; /* 0: the first; 1 to 18: those of 9 blocks (2b + 1, 2b + 2); 19, 20: projections of blocks 3 and 6 */
float *x, *out[10], *g[3], *gm[3], *Wh, *Mh, *bh, *mbh;
int *y;
float loss, rm[21][64], rv[21][64];
static float *scr[NT][4];
#define EPS 1e-5f
static float *buf(long n) {
  static float *p;
  static long left;
  n = (n + 1023) / 1024 * 1024 + 16 * 17;
  if (n > left) {
    left = n > (64L << 20) / 4 ? n : (64L << 20) / 4;
    p = huge(left * 4);
  }
  float *r = p;
  p += n;
  left -= n;
  return r;
}
void init(void) {
  x = buf((long)N * 34 * 34 * 3 + 64);
  y = (int *)buf(N);
  for (int i = 0; i < 21; i++) {
    L *a = &l[i];
    int b = (i - 1) / 2, s = i == 0 ? 0 : i > 18 ? i - 18 : b / 3;
    int first = i == 0 || i > 18 || (i % 2 == 1 && b % 3 == 0 && s);
    a->K = 16 << s;
    a->C = i == 0 ? 3 : first ? a->K / 2 : a->K;
    a->S = (first && i) ? 2 : 1;
    a->HI = (32 >> s) * a->S;
    int t = i > 18 ? 1 : 9;
    long n = (long)t * a->C * a->K;
    a->w = buf(n);
    a->m = buf(n);
    a->wf = buf(n < 2304 ? 2304 : n);
    for (int j = 0; j < NT; j++) a->dw[j] = buf(n);
    int ho = a->HI / a->S;
    a->y = buf((long)N * ho * ho * a->K);
    a->ga = buf(64);
    a->be = buf(64);
    a->mga = buf(64);
    a->mbe = buf(64);
  }
  for (int b = 0; b < 10; b++) {
    int s = b < 4 ? 0 : b < 7 ? 1 : 2, h = 32 >> s;
    out[b] = buf((long)N * (h + 2) * (h + 2) * (16 << s));
  }
  for (int s = 0; s < 3; s++) {
    int h = 32 >> s;
    g[s] = buf((long)N * h * h * (16 << s));
    gm[s] = buf((long)N * h * h * (16 << s));
  }
  Wh = buf(1024);
  Mh = buf(1024);
  bh = buf(16);
  mbh = buf(16);
  for (int t = 0; t < NT; t++)
    for (int j = 0; j < 4; j++) scr[t][j] = buf(34 * 34 * 16 + 64);
}
#define U _Pragma("GCC unroll 64")
/* 3 x 3 convolution of one picture: blocks of 16 pixels x 16 channels, every broadcast used for up to three taps.
   mode 0: forward; sums y - mu and its square. mode 1: data gradient; masked by a > 0; sums g and g (yp - mu).
   mode 2: the same after adding what y holds, the gradient of the skip. */
INL void conv(const float *x, const float *w, float *y, int C, int K, int HI, int S, int mode, const float *a,
              const float *yp, float *st, const float *mu) {
  const int HO = HI / S, WP = HI + 2, PW = HO < 16 ? HO : 16, PR = 16 / PW;
  for (int kb = 0; kb < K / 16; kb++) {
    const float *ws = w + (long)kb * 9 * C * 16;
    v16 s0 = {0}, s1 = {0}, mv = LD(mu + kb * 16);
    for (int h = 0; h < HO; h += PR)
      for (int q0 = 0; q0 < HO; q0 += PW) {
        v16 acc[16];
        U for (int p = 0; p < 16; p++) acc[p] = (v16){0};
        for (int r = 0; r < 3; r++) {
          const float *xr = x + ((h * S + r) * WP + q0 * S) * C, *wr = ws + r * 3 * C * 16;
          for (int c = 0; c < C; c++) {
            v16 wv[3];
            U for (int s = 0; s < 3; s++) wv[s] = LD(wr + (s * C + c) * 16);
            U for (int pr = 0; pr < PR; pr++) U for (int j = 0; j < (PW - 1) * S + 3; j++) {
              v16 b = SPLAT(xr[(pr * S * WP + j) * C + c]);
              U for (int s = 0; s < 3; s++) if ((j - s) % S == 0 && j >= s && (j - s) / S < PW)
                  acc[pr * PW + (j - s) / S] += b * wv[s];
            }
          }
        }
        U for (int p = 0; p < 16; p++) {
          int hh = h + p / PW, qq = q0 + p % PW;
          float *o = y + ((long)hh * HO + qq) * K + kb * 16;
          v16 v = acc[p];
          if (mode == 0) {
            ST(o, v);
            v -= mv;
            s0 += v;
            s1 += v * v;
          } else {
            if (mode == 2) v += LD(o);
            v = maskpos(LD(a + ((hh + 1) * (HO + 2) + qq + 1) * K + kb * 16), v);
            ST(o, v);
            s0 += v;
            s1 += v * (LD(yp + ((long)hh * HO + qq) * K + kb * 16) - mv);
          }
        }
      }
    ST(st + kb * 16, LD(st + kb * 16) + s0);
    ST(st + 64 + kb * 16, LD(st + 64 + kb * 16) + s1);
  }
}
/* Data gradient of a convolution with stride 2, even and odd columns apart, and of the 1 x 1 projection beside it. */
INL void dgrad2(const float *dy, const float *dyp, const float *wf, const float *wp, float *gx, int C, int K, int HI,
                const float *a, const float *yp, float *st, const float *mu) {
  const int HO = HI / 2, WO = HO + 2;
  for (int cb = 0; cb < C / 16; cb++) {
    const float *ws = wf + (long)cb * 9 * K * 16, *wps = wp + (long)cb * K * 16;
    v16 s0 = {0}, s1 = {0}, mv = LD(mu + cb * 16);
    for (int h = 0; h < HI; h++)
      for (int u = 0; u < HO; u += 8) {
        v16 e[8], o[8];
        U for (int p = 0; p < 8; p++) e[p] = o[p] = (v16){0};
        for (int r = (h & 1) ? 0 : 1; r < 3; r += 2) {
          const float *d = dy + (((h + 1 - r) / 2 + 1) * WO + u + 1) * K, *wr = ws + (long)(8 - r * 3) * K * 16;
          for (int k = 0; k < K; k++) {
            v16 w0 = LD(wr + k * 16), w1 = LD(wr - K * 16 + k * 16), w2 = LD(wr - 2 * K * 16 + k * 16);
            U for (int j = 0; j < 9; j++) {
              v16 b = SPLAT(d[j * K + k]);
              if (j < 8) {
                e[j] += b * w1;
                o[j] += b * w2;
              }
              if (j) o[j - 1] += b * w0;
            }
          }
        }
        if (!(h & 1)) {
          const float *d = dyp + ((h / 2 + 1) * WO + u + 1) * K;
          for (int k = 0; k < K; k++) {
            v16 w = LD(wps + k * 16);
            U for (int j = 0; j < 8; j++) e[j] += d[j * K + k] * w;
          }
        }
        U for (int p = 0; p < 16; p++) {
          int qq = 2 * u + p;
          v16 v = maskpos(LD(a + ((h + 1) * (HI + 2) + qq + 1) * C + cb * 16), p & 1 ? o[p / 2] : e[p / 2]);
          ST(gx + ((long)h * HI + qq) * C + cb * 16, v);
          s0 += v;
          s1 += v * (LD(yp + ((long)h * HI + qq) * C + cb * 16) - mv);
        }
      }
    ST(st + cb * 16, LD(st + cb * 16) + s0);
    ST(st + 64 + cb * 16, LD(st + 64 + cb * 16) + s1);
  }
}
/* Weight gradient of a 3 x 3 convolution of one picture, 8 rows at a time; three taps for each load of dy. */
INL void wgrad(const float *x, const float *dy, float *dw, int C, int K, int HI, int S) {
  const int HO = HI / S, WI = HI + 2, WO = HO + 2;
  for (int h0 = 0; h0 < HO; h0 += 8)
    for (int kb = 0; kb < K / 16; kb++)
      for (int r = 0; r < 3; r++)
        for (int cb = 0; cb < C; cb += 8) {
          float *d = dw + (((long)kb * 9 + r * 3) * C + cb) * 16;
          v16 acc[3][8];
          U for (int s = 0; s < 3; s++) U for (int c = 0; c < 8; c++) acc[s][c] = LD(d + (s * C + c) * 16);
          for (int h = h0; h < h0 + 8; h++) {
            const float *xr = x + (h * S + r) * WI * C + cb, *dr = dy + ((h + 1) * WO + 1) * K + kb * 16;
            if (S == 1) {
#define STEP(j, A0, A1, A2)              \
  {                                      \
    v16 d0, d1, d2;                      \
    if (A0) d0 = LD(dr + (j) * K);       \
    if (A1) d1 = LD(dr + ((j) - 1) * K); \
    if (A2) d2 = LD(dr + ((j) - 2) * K); \
    U for (int c = 0; c < 8; c++) {      \
      v16 b = SPLAT(xr[(j) * C + c]);    \
      if (A0) acc[0][c] += b * d0;       \
      if (A1) acc[1][c] += b * d1;       \
      if (A2) acc[2][c] += b * d2;       \
    }                                    \
  }
              STEP(0, 1, 0, 0)
              STEP(1, 1, 1, 0) for (int j = 2; j < HO; j++) STEP(j, 1, 1, 1) STEP(HO, 0, 1, 1) STEP(HO + 1, 0, 0, 1)
            } else
              for (int q = 0; q < HO; q++) {
                v16 d0 = LD(dr + q * K);
                U for (int s = 0; s < 3; s++) U for (int c = 0; c < 8; c++) acc[s][c] += xr[(S * q + s) * C + c] * d0;
              }
          }
          U for (int s = 0; s < 3; s++) U for (int c = 0; c < 8; c++) ST(d + (s * C + c) * 16, acc[s][c]);
        }
}
/* The same for three channels: all 27 taps in registers. */
static void wgrad3(const float *x, const float *dy, float *dw) {
  v16 acc[27];
  U for (int i = 0; i < 27; i++) acc[i] = LD(dw + i * 16);
  for (int h = 0; h < 32; h++)
    for (int q = 0; q < 32; q++) {
      v16 d = LD(dy + ((h + 1) * 34 + q + 1) * 16);
      const float *p = x + (h * 34 + q) * 3;
      U for (int r = 0; r < 3; r++) U for (int s = 0; s < 9; s++) acc[r * 9 + s] += p[r * 34 * 3 + s] * d;
    }
  U for (int i = 0; i < 27; i++) ST(dw + i * 16, acc[i]);
}
/* 1 x 1 convolution with stride 2. */
INL void proj(const float *x, const float *w, float *y, int C, int K, int HI, float *st, const float *mu) {
  const int HO = HI / 2, WP = HI + 2, PW = 8;
  for (int kb = 0; kb < K / 16; kb++) {
    v16 s0 = {0}, s1 = {0}, mv = LD(mu + kb * 16);
    for (int h = 0; h < HO; h++)
      for (int q = 0; q < HO; q += PW) {
        v16 acc[8];
        U for (int p = 0; p < 8; p++) acc[p] = (v16){0};
        const float *xr = x + ((2 * h + 1) * WP + 2 * q + 1) * C;
        for (int c = 0; c < C; c++) {
          v16 wv = LD(w + (kb * C + c) * 16);
          U for (int p = 0; p < 8; p++) acc[p] += xr[2 * p * C + c] * wv;
        }
        U for (int p = 0; p < 8; p++) {
          ST(y + ((long)h * HO + q + p) * K + kb * 16, acc[p]);
          v16 v = acc[p] - mv;
          s0 += v;
          s1 += v * v;
        }
      }
    ST(st + kb * 16, LD(st + kb * 16) + s0);
    ST(st + 64 + kb * 16, LD(st + 64 + kb * 16) + s1);
  }
}
/* Its weight gradient. */
INL void projw(const float *x, const float *dy, float *dw, int C, int K, int HI) {
  const int HO = HI / 2, WP = HI + 2, WO = HO + 2;
  for (int kb = 0; kb < K / 16; kb++)
    for (int cb = 0; cb < C; cb += 16) {
      v16 acc[16];
      float *d = dw + (kb * C + cb) * 16;
      U for (int c = 0; c < 16; c++) acc[c] = LD(d + c * 16);
      for (int h = 0; h < HO; h++)
        for (int q = 0; q < HO; q++) {
          v16 v = LD(dy + ((h + 1) * WO + q + 1) * K + kb * 16);
          const float *p = x + ((2 * h + 1) * WP + 2 * q + 1) * C + cb;
          U for (int c = 0; c < 16; c++) acc[c] += p[c] * v;
        }
      U for (int c = 0; c < 16; c++) ST(d + c * 16, acc[c]);
    }
}
/* One picture: o (padded) = relu(sc y + sh + what is skipped: nothing, a padded picture, or sc2 skip + sh2). */
INL void norm(const float *y, const float *sc, const float *sh, float *o, int K, int H, int mode, const float *skip,
              const float *sc2, const float *sh2) {
  for (int h = 0; h < H; h++)
    for (int q = 0; q < H; q++) {
      long i = ((long)h * H + q) * K, j = ((h + 1) * (H + 2) + q + 1) * (long)K;
      U for (int k = 0; k < K; k += 16) {
        v16 v = LD(y + i + k) * LD(sc + k) + LD(sh + k);
        if (mode == 1) v += LD(skip + j + k);
        if (mode == 2) v += LD(skip + i + k) * LD(sc2 + k) + LD(sh2 + k);
        ST(o + j + k, relu(v));
      }
    }
}
/* Batch norm backwards, once its two sums are known: o (padded) = A g + Bc y + Cc. */
INL void bnback(const float *gg, const float *y, const float *A, const float *Bc, const float *Cc, float *o, int K,
                int H) {
  for (int h = 0; h < H; h++)
    for (int q = 0; q < H; q++) {
      long i = ((long)h * H + q) * K, j = ((h + 1) * (H + 2) + q + 1) * (long)K;
      U for (int k = 0; k < K; k += 16)
          ST(o + j + k, LD(gg + i + k) * LD(A + k) + LD(y + i + k) * LD(Bc + k) + LD(Cc + k));
    }
}
#define NOI __attribute__((noinline)) static
#define SPEC(n, C, K, HI, S)                                                                \
  NOI void conv_##n(const float *x, const float *w, float *y, float *st, const float *mu) { \
    conv(x, w, y, C, K, HI, S, 0, 0, 0, st, mu);                                            \
  }
SPEC(0, 3, 16, 32, 1)
SPEC(1, 16, 16, 32, 1) SPEC(2, 16, 32, 32, 2) SPEC(3, 32, 32, 16, 1) SPEC(4, 32, 64, 16, 2) SPEC(5, 64, 64, 8, 1)
#define SPECD(n, C, H)                                                                                     \
  NOI void dgr_##n(const float *dy, const float *w, float *gx, const float *a, const float *yp, float *st, \
                   const float *mu, int skip) {                                                            \
    if (skip)                                                                                              \
      conv(dy, w, gx, C, C, H, 1, 2, a, yp, st, mu);                                                       \
    else                                                                                                   \
      conv(dy, w, gx, C, C, H, 1, 1, a, yp, st, mu);                                                       \
  }
    SPECD(0, 16, 32) SPECD(1, 32, 16) SPECD(2, 64, 8)
#define SPECW(n, C, K, HI, S) \
  NOI void wgr_##n(const float *x, const float *dy, float *dw) { wgrad(x, dy, dw, C, K, HI, S); }
        SPECW(1, 16, 16, 32, 1) SPECW(2, 16, 32, 32, 2) SPECW(3, 32, 32, 16, 1) SPECW(4, 32, 64, 16, 2)
            SPECW(5, 64, 64, 8, 1)
#define SPECN(n, K, H)                                                                                            \
  NOI void norm_##n(const float *y, const float *sc, const float *sh, float *o, int mode, const float *skip,      \
                    const float *sc2, const float *sh2) {                                                         \
    if (mode == 0)                                                                                                \
      norm(y, sc, sh, o, K, H, 0, 0, 0, 0);                                                                       \
    else if (mode == 1)                                                                                           \
      norm(y, sc, sh, o, K, H, 1, skip, 0, 0);                                                                    \
    else                                                                                                          \
      norm(y, sc, sh, o, K, H, 2, skip, sc2, sh2);                                                                \
  }                                                                                                               \
  NOI void bnb_##n(const float *gg, const float *y, const float *A, const float *Bc, const float *Cc, float *o) { \
    bnback(gg, y, A, Bc, Cc, o, K, H);                                                                            \
  }
                SPECN(0, 16, 32) SPECN(1, 32, 16) SPECN(2, 64, 8) NOI
    void dg2_0(const float *dy, const float *dyp, const float *wf, const float *wp, float *gx, const float *a,
               const float *yp, float *st, const float *mu) {
  dgrad2(dy, dyp, wf, wp, gx, 16, 32, 32, a, yp, st, mu);
}
NOI void dg2_1(const float *dy, const float *dyp, const float *wf, const float *wp, float *gx, const float *a,
               const float *yp, float *st, const float *mu) {
  dgrad2(dy, dyp, wf, wp, gx, 32, 64, 16, a, yp, st, mu);
}
static void convf(L *a, const float *xi, float *yo, float *st) {
  switch (a->C * 1000 + a->K) {
  case 3016:
    conv_0(xi, a->w, yo, st, a->mu);
    break;
  case 16016:
    conv_1(xi, a->w, yo, st, a->mu);
    break;
  case 16032:
    conv_2(xi, a->w, yo, st, a->mu);
    break;
  case 32032:
    conv_3(xi, a->w, yo, st, a->mu);
    break;
  case 32064:
    conv_4(xi, a->w, yo, st, a->mu);
    break;
  default:
    conv_5(xi, a->w, yo, st, a->mu);
  }
}
static void wgr(L *a, const float *xi, const float *dy, float *dw) {
  switch (a->C * 1000 + a->K) {
  case 3016:
    wgrad3(xi, dy, dw);
    break;
  case 16016:
    wgr_1(xi, dy, dw);
    break;
  case 16032:
    wgr_2(xi, dy, dw);
    break;
  case 32032:
    wgr_3(xi, dy, dw);
    break;
  case 32064:
    wgr_4(xi, dy, dw);
    break;
  default:
    wgr_5(xi, dy, dw);
  }
}
static void dgr(int s, const float *dy, const float *w, float *gx, const float *a, const float *yp, float *st,
                const float *mu, int skip) {
  (s == 0 ? dgr_0 : s == 1 ? dgr_1 : dgr_2)(dy, w, gx, a, yp, st, mu, skip);
}
typedef struct {
  float sc[64], sh[64];
} SS;
/* A sum over the threads. */
static double all(float s[NT][2][64], int which, int k) {
  double sum = 0;
  for (int t = 0; t < NT; t++) sum += s[t][which][k];
  return sum;
}
#define ALL(what)                                   \
  ({                                                \
    v16 s_ = {0};                                   \
    for (int t_ = 0; t_ < NT; t_++) s_ += LD(what); \
    s_;                                             \
  })
/* From the sums of batch norm to scale and shift; every thread for itself. */
static void fin(L *a, SS *o, int t) {
  int H = a->HI / a->S;
  float M = (float)N * H * H;
  float mean[64], inv[64];
  for (int k = 0; k < a->K; k++) {
    double mu = (all(a->st, 0, k)) / M;
    double v = (all(a->st, 1, k)) / M - mu * mu;
    mean[k] = mu + a->mu[k];
    inv[k] = 1 / sqrt(v + EPS);
    o->sc[k] = a->ga[k] * inv[k];
    o->sh[k] = a->be[k] - mean[k] * o->sc[k];
    if (t == 0) {
      a->mean[k] = mean[k];
      a->inv[k] = inv[k];
      int i = a - l;
      rm[i][k] = .9f * rm[i][k] + .1f * mean[k];
      rv[i][k] = .9f * rv[i][k] + .1f * v * M / (M - 1);
    }
  }
}
/* The coefficients of `bnback`. */
static void bfin(L *a, float sg[NT][2][64], float sy[NT][2][64], float *A, float *Bc, float *Cc) {
  int H = a->HI / a->S;
  float M = (float)N * H * H;
  for (int k = 0; k < a->K; k++) {
    float db = all(sg, 0, k), dg = a->inv[k] * all(sy, 1, k), q = a->ga[k] * a->inv[k];
    A[k] = q;
    Bc[k] = -q * a->inv[k] * dg / M;
    Cc[k] = -q * db / M - Bc[k] * a->mean[k];
  }
}
#define IMG(p, H, K) ((p) + (long)n * (H) * (H) * (K))
void step(void) {
  static float losses[NT], dWh[NT][64 * 16], dbh[NT][16];
#pragma omp parallel num_threads(NT)
  {
    int t = omp_get_thread_num(), a0 = t * (N / NT), a1 = a0 + N / NT;
    static SS ss_[NT][21];
    SS *ss = ss_[t];
    float *s0 = scr[t][0];
    for (int i = 0; i < 21; i++) {
      memset(l[i].st[t], 0, 512);
      memset(l[i].gs[t], 0, 512);
      memset(l[i].dw[t], 0, 4L * (i > 18 ? 1 : 9) * l[i].C * l[i].K);
    }
    for (int n = a0; n < a1; n++)
      conv_0(x + (long)n * 34 * 34 * 3, l[0].w, IMG(l[0].y, 32, 16), l[0].st[t][0], l[0].mu);
#pragma omp barrier
    fin(&l[0], &ss[0], t);
    for (int b = 0; b < 9; b++) { /* block b: from out[b] to out[b + 1] */
      int s = b / 3, si = b ? (b - 1) / 3 : 0, H = 32 >> s, K = 16 << s, HI = 32 >> si, C = 16 << si, down = si != s;
      L *c1 = &l[2 * b + 1], *c2 = &l[2 * b + 2], *pj = &l[18 + s], *prev = &l[2 * b];
      for (int n = a0; n < a1; n++) {
        float *o = IMG(out[b], HI + 2, C);
        int pd = b > 1 && (b - 1) % 3 == 0;
        (si == 0   ? norm_0
         : si == 1 ? norm_1
                   : norm_2)(IMG(prev->y, HI, C), ss[2 * b].sc, ss[2 * b].sh, o,
                             b == 0 ? 0
                             : pd   ? 2
                                    : 1,
                             b == 0 ? 0
                             : pd   ? IMG(l[18 + si].y, HI, C)
                                    : IMG(out[b - 1], HI + 2, C),
                             ss[18 + si].sc, ss[18 + si].sh);
        convf(c1, o, IMG(c1->y, H, K), c1->st[t][0]);
        if (down) {
          if (s == 1)
            proj(o, pj->w, IMG(pj->y, H, K), 16, 32, 32, pj->st[t][0], pj->mu);
          else
            proj(o, pj->w, IMG(pj->y, H, K), 32, 64, 16, pj->st[t][0], pj->mu);
        }
      }
#pragma omp barrier
      fin(c1, &ss[2 * b + 1], t);
      if (down) fin(pj, &ss[18 + s], t);
      for (int n = a0; n < a1; n++) {
        if (n == a0) memset(s0, 0, 4L * (H + 2) * (H + 2) * K);
        (s == 0   ? norm_0
         : s == 1 ? norm_1
                  : norm_2)(IMG(c1->y, H, K), ss[2 * b + 1].sc, ss[2 * b + 1].sh, s0, 0, 0, 0, 0);
        convf(c2, s0, IMG(c2->y, H, K), c2->st[t][0]);
      }
#pragma omp barrier
      fin(c2, &ss[2 * b + 2], t);
    }
#pragma omp barrier /* the means that the first thread has just written are read here */
    /* the last block's output, pooling, the dense layer, loss and gradients, and the first sums of batch norm backwards */
    float ls = 0;
    memset(dWh[t], 0, 4096);
    memset(dbh[t], 0, 64);
    for (int n = a0; n < a1; n++) {
      float *o = IMG(out[9], 10, 64), *gg = IMG(g[2], 8, 64), *yy = IMG(l[18].y, 8, 64);
      v16 pool[4] = {0};
      float pl[64], dp[64], *gs = l[18].gs[t][0];
      norm_2(yy, ss[18].sc, ss[18].sh, o, 1, IMG(out[8], 10, 64), 0, 0);
      for (int i = 0; i < 64; i++)
        U for (int k = 0; k < 4; k++) pool[k] += LD(o + ((i / 8 + 1) * 10 + i % 8 + 1) * 64 + k * 16);
      for (int k = 0; k < 4; k++) ST(pl + k * 16, pool[k] / 64.f);
      v16 z = LD(bh);
      for (int c = 0; c < 64; c++) z += pl[c] * LD(Wh + c * 16);
      __m512 zz = _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), 0x3ff, (__m512)z);
      float mx = _mm512_reduce_max_ps(zz);
      v16 e = (v16)_mm512_maskz_mov_ps(0x3ff, (__m512)expv((v16)zz - mx));
      float sm = hsum(e);
      ls += logf(sm) + mx - z[y[n]];
      v16 d = e / (sm * N);
      d[y[n]] -= 1.f / N;
      ST(dbh[t], LD(dbh[t]) + d);
      for (int c = 0; c < 64; c++) {
        ST(dWh[t] + c * 16, LD(dWh[t] + c * 16) + pl[c] * d);
        dp[c] = hsum(d * LD(Wh + c * 16)) / 64.f;
      }
      for (int k = 0; k < 64; k += 16) {
        v16 sg = {0}, sy = {0}, q = LD(dp + k);
        for (int i = 0; i < 64; i++) {
          v16 v = maskpos(LD(o + ((i / 8 + 1) * 10 + i % 8 + 1) * 64 + k), q);
          ST(gg + i * 64 + k, v);
          sg += v;
          sy += v * (LD(yy + i * 64 + k) - LD(l[18].mean + k));
        }
        ST(gs + k, LD(gs + k) + sg);
        ST(gs + 64 + k, LD(gs + 64 + k) + sy);
      }
    }
    losses[t] = ls;
#pragma omp barrier
    float A[64], Bc[64], Cc[64], A2[64], B2[64], C2[64];
    float *dys = scr[t][1], *dyp = scr[t][2];
    for (int b = 8; b >= 0; b--) {
      int s = b / 3, si = b ? (b - 1) / 3 : 0, H = 32 >> s, K = 16 << s, HI = 32 >> si, C = 16 << si, down = si != s;
      L *c1 = &l[2 * b + 1], *c2 = &l[2 * b + 2], *pj = &l[18 + s], *prev = &l[2 * b];
      bfin(c2, c2->gs, c2->gs, A, Bc, Cc);
      memset(s0, 0, 4L * (H + 2) * (H + 2) * K);
      memset(dys, 0, 4L * (H + 2) * (H + 2) * K);
      for (int n = a0; n < a1; n++) {
        float *gg = IMG(g[s], H, K);
        (s == 0 ? bnb_0 : s == 1 ? bnb_1 : bnb_2)(gg, IMG(c2->y, H, K), A, Bc, Cc, dys);
        (s == 0   ? norm_0
         : s == 1 ? norm_1
                  : norm_2)(IMG(c1->y, H, K), ss[2 * b + 1].sc, ss[2 * b + 1].sh, s0, 0, 0, 0, 0);
        if (down) {
          float *yy = IMG(pj->y, H, K), *sy = pj->gs[t][1];
          for (int i = 0; i < H * H; i++)
            for (int k = 0; k < K; k += 16)
              ST(sy + k, LD(sy + k) + LD(gg + i * K + k) * (LD(yy + i * K + k) - LD(pj->mean + k)));
        }

        wgr(c2, s0, dys, c2->dw[t]);
        dgr(s, dys, c2->wf, IMG(gm[s], H, K), s0, IMG(c1->y, H, K), c1->gs[t][0], c1->mean, 0);
      }
#pragma omp barrier
      bfin(c1, c1->gs, c1->gs, A, Bc, Cc);
      if (down) {
        bfin(pj, c2->gs, pj->gs, A2, B2, C2);
        memset(dyp, 0, 4L * (H + 2) * (H + 2) * K);
      }
      for (int n = a0; n < a1; n++) {
        (s == 0 ? bnb_0 : s == 1 ? bnb_1 : bnb_2)(IMG(gm[s], H, K), IMG(c1->y, H, K), A, Bc, Cc, dys);
        if (down) (s == 1 ? bnb_1 : bnb_2)(IMG(g[s], H, K), IMG(pj->y, H, K), A2, B2, C2, dyp);

        float *o = IMG(out[b], HI + 2, C);
        wgr(c1, o, dys, c1->dw[t]);
        if (down) {
          if (s == 1)
            projw(o, dyp, pj->dw[t], 16, 32, 32);
          else
            projw(o, dyp, pj->dw[t], 32, 64, 16);

          (s == 1 ? dg2_0 : dg2_1)(dys, dyp, c1->wf, pj->wf, IMG(g[si], HI, C), o, IMG(prev->y, HI, C), prev->gs[t][0],
                                   prev->mean);
        } else {
          dgr(s, dys, c1->wf, IMG(g[s], H, K), o, IMG(prev->y, H, K), prev->gs[t][0], prev->mean, 1);
        }
      }
#pragma omp barrier
    }
    bfin(&l[0], l[0].gs, l[0].gs, A, Bc, Cc);
    for (int n = a0; n < a1; n++) {
      bnb_0(IMG(g[0], 32, 16), IMG(l[0].y, 32, 16), A, Bc, Cc, dys);
      wgrad3(x + (long)n * 34 * 34 * 3, dys, l[0].dw[t]);
    }
#pragma omp barrier
    for (int i = 0; i < 21; i++) {
      L *a = &l[i];
      int tp = i > 18 ? 1 : 9;
      long nn = (long)tp * a->C * a->K / 16, i0 = nn * t / NT, i1 = nn * (t + 1) / NT;
      for (long j = i0; j < i1; j++) sgd(a->w + j * 16, a->m + j * 16, ALL(a->dw[t_] + j * 16));
      if (t == 0) {
        float (*gb)[2][64] = i > 18 ? l[i == 19 ? 8 : 14].gs : a->gs;
        for (int k = 0; k < a->K; k += 16) {
          v16 db = ALL(&gb[t_][0][k]), dg = LD(a->inv + k) * ALL(&a->gs[t_][1][k]);
          sgd(a->ga + k, a->mga + k, dg);
          sgd(a->be + k, a->mbe + k, db);
        }
      }
    }
    if (t == 0)
      for (int i = 0; i < 21; i++) memcpy(l[i].mu, l[i].mean, 256);
    if (t == NT - 1) {
      for (int c = 0; c < 64; c++) sgd(Wh + c * 16, Mh + c * 16, ALL(dWh[t_] + c * 16));
      sgd(bh, mbh, ALL(dbh[t_]));
      loss = 0;
      for (int i = 0; i < NT; i++) loss += losses[i] / N;
    }
#pragma omp barrier
    for (int i = 1 + t; i < 21; i += NT) {
      L *a = &l[i];
      int tp = i > 18 ? 1 : 9;
      for (int kb = 0; kb < a->K / 16; kb++)
        for (int p = 0; p < tp; p++)
          for (int cb = 0; cb < a->C / 16; cb++)
            tr16(a->w + (((long)kb * tp + p) * a->C + cb * 16) * 16, 16,
                 a->wf + (((long)cb * tp + tp - 1 - p) * a->K + kb * 16) * 16, 16);
    }
  }
}
/* Refreshes the flipped and transposed copies. */
void setwf(void) {
  for (int i = 1; i < 21; i++) {
    L *a = &l[i];
    int tp = i > 18 ? 1 : 9;
    for (int kb = 0; kb < a->K / 16; kb++)
      for (int p = 0; p < tp; p++)
        for (int cb = 0; cb < a->C / 16; cb++)
          tr16(a->w + (((long)kb * tp + p) * a->C + cb * 16) * 16, 16,
               a->wf + (((long)cb * tp + tp - 1 - p) * a->K + kb * 16) * 16, 16);
  }
}
/* Weights of convolution i, their momenta, gain, bias, the momenta of these. */
float *ptr(int i, int what) {
  L *a = &l[i];
  return what == 0 ? a->w : what == 1 ? a->m : what == 2 ? a->ga : what == 3 ? a->be : what == 4 ? a->mga : a->mbe;
}
