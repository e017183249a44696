/* What the steps by hand share: vectors of 16 floats, the register-blocked product, exp and tanh, SGD. AVX-512. */
#ifndef NT
#define NT 2 /* threads: 1 or 2 */
#endif
#include <omp.h>
#include <string.h>
#include <stdlib.h>
#include <math.h>
#include <immintrin.h>
#include <sys/mman.h>
typedef float v16 __attribute__((vector_size(64), aligned(4)));
#define INL static inline __attribute__((always_inline))
#define LD(p) (*(const v16 *)(p))
#define ST(p, x) (*(v16 *)(p) = (x))
#define SPLAT(x) ((v16)_mm512_set1_ps(x))
/* acc[p][v] += sum over k of a[p * ap + k * ak] * b[k * bk + v * 16], P rows of V vectors in registers. */
#define MK(P, V, KK, a, ap, ak, b, bk, acc)                                                                     \
  do {                                                                                                          \
    const float *a_ = (a), *b_ = (b);                                                                           \
    for (long k_ = 0; k_ < (KK); k_++) {                                                                        \
      v16 bv_[V];                                                                                               \
      _Pragma("GCC unroll 32") for (int v = 0; v < V; v++) bv_[v] = LD(b_ + v * 16);                            \
      _Pragma("GCC unroll 32") for (int p = 0; p < P; p++) _Pragma("GCC unroll 32") for (int v = 0; v < V; v++) \
          acc[p][v] += a_[p * (ap)] * bv_[v];                                                                   \
      a_ += (ak);                                                                                               \
      b_ += (bk);                                                                                               \
    }                                                                                                           \
  } while (0)
#define ZERO(P, V, acc)                                                                                     \
  _Pragma("GCC unroll 32") for (int p = 0; p < P; p++) _Pragma("GCC unroll 32") for (int v = 0; v < V; v++) \
      acc[p][v] = (v16){0}
#define EACH(P, V) \
  _Pragma("GCC unroll 32") for (int p = 0; p < P; p++) _Pragma("GCC unroll 32") for (int v = 0; v < V; v++)
INL v16 relu(v16 x) { return (v16)_mm512_max_ps((__m512)x, _mm512_setzero_ps()); }
INL v16 maskpos(v16 y, v16 g) {
  return (v16)_mm512_maskz_mov_ps(_mm512_cmp_ps_mask((__m512)y, _mm512_setzero_ps(), _CMP_GT_OQ), (__m512)g);
}
/* e^x with an error of 1 to 2 ulp, by the polynomial of Cephes. */
INL v16 expv(v16 x) {
  __m512 y = _mm512_max_ps(_mm512_min_ps((__m512)x, _mm512_set1_ps(88.f)), _mm512_set1_ps(-87.f));
  __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(y, _mm512_set1_ps(1.44269504f)), 8);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), y);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
  p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, _mm512_set1_ps(1.f)));
  return (v16)_mm512_scalef_ps(p, n);
}
INL v16 sigmoidv(v16 x) { return SPLAT(1.f) / (SPLAT(1.f) + expv(-x)); }
INL v16 tanhv(v16 x) { return SPLAT(1.f) - SPLAT(2.f) / (expv(x + x) + SPLAT(1.f)); }
INL float hsum(v16 x) { return _mm512_reduce_add_ps((__m512)x); }
INL float hmax(v16 x) { return _mm512_reduce_max_ps((__m512)x); }
/* The transpose of 16 x 16 numbers. */
INL void tr16(const float *s, long ss, float *d, long ds) {
  __m512 r[16], t[16];
  for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_ps(s + i * ss);
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) {
    t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    r[4 * i] = (__m512)_mm512_unpacklo_pd((__m512d)t[4 * i], (__m512d)t[4 * i + 2]);
    r[4 * i + 1] = (__m512)_mm512_unpackhi_pd((__m512d)t[4 * i], (__m512d)t[4 * i + 2]);
    r[4 * i + 2] = (__m512)_mm512_unpacklo_pd((__m512d)t[4 * i + 1], (__m512d)t[4 * i + 3]);
    r[4 * i + 3] = (__m512)_mm512_unpackhi_pd((__m512d)t[4 * i + 1], (__m512d)t[4 * i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
    r[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
  }
  for (int i = 0; i < 16; i++) _mm512_storeu_ps(d + i * ds, r[i]);
}
/* SGD as PyTorch has it: m = 0.9 m + g + 1e-4 w, w -= 0.01 m. */
#define LR 0.01f
#define MOM 0.9f
#define DEC 1e-4f
INL void sgd(float *w, float *m, v16 g) {
  v16 wv = LD(w), mv = SPLAT(MOM) * LD(m) + g + SPLAT(DEC) * wv;
  ST(m, mv);
  ST(w, wv - SPLAT(LR) * mv);
}
/* Zeroed memory in huge pages. */
static void *huge(size_t n) {
  n = (n + (2 << 20)) & ~((2L << 20) - 1);
  void *p = aligned_alloc(2 << 20, n);
  madvise(p, n, MADV_HUGEPAGE);
  memset(p, 0, n);
  return p;
}
