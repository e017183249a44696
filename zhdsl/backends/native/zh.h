/* What printed kernels call: sizes, reductions over runs of memory, the k largest, random numbers.
 *
 * Sums run in LANES accumulators over blocks of BLOCK elements, and the blocks' sums are added up: a fixed order, and
 * an error that grows with the number of blocks rather than that of elements. */
#include <stdint.h>

#define LANES 16
#define BLOCK 1024

static inline long zh_floor_div(long a, long b) { long q = a / b; return q - ((a % b != 0) & ((a < 0) != (b < 0))); }
static inline long zh_least(long a, long b) { return a < b ? a : b; }
static inline long zh_most(long a, long b) { return a > b ? a : b; }

static inline float zh_max_f32(float a, float b) { return b > a || b != b ? b : a; }
static inline double zh_max_f64(double a, double b) { return b > a || b != b ? b : a; }
static inline int32_t zh_max_i32(int32_t a, int32_t b) { return b > a ? b : a; }

/* One block: `each` is the value of element j, folded into lane l; then the lanes, in order. */
#define ZH_BLOCK(T, zero, each, fold)                                              \
  T lane[LANES];                                                                   \
  for (int l = 0; l < LANES; l++) lane[l] = zero;                                  \
  long k = 0;                                                                      \
  for (; k + LANES <= count; k += LANES) {                                         \
    _Pragma("omp simd") for (int l = 0; l < LANES; l++) {                          \
      const long j = k + l;                                                        \
      lane[l] = fold(lane[l], each);                                               \
    }                                                                              \
  }                                                                                \
  T total = zero;                                                                  \
  for (int l = 0; l < LANES; l++) total = fold(total, lane[l]);                    \
  for (long j = k; j < count; j++) total = fold(total, each);                      \
  return total;

#define ZH_PLUS(a, b) ((a) + (b))
#define ZH_RUNS(T, S, least)                                                                                       \
  static inline T zh_sum_block_##S(const T *x, long xs, long count) {                                              \
    if (xs == 1) { ZH_BLOCK(T, 0, x[j], ZH_PLUS) }                                                                 \
    ZH_BLOCK(T, 0, x[j * xs], ZH_PLUS)                                                                             \
  }                                                                                                                \
  static inline T zh_dot_block_##S(const T *x, long xs, const T *y, long ys, long count) {                         \
    if (xs == 1 && ys == 1) { ZH_BLOCK(T, 0, x[j] * y[j], ZH_PLUS) }                                               \
    ZH_BLOCK(T, 0, x[j * xs] * y[j * ys], ZH_PLUS)                                                                 \
  }                                                                                                                \
  static inline T zh_top_##S(const T *x, long xs, long count) {                                                    \
    if (xs == 1) { ZH_BLOCK(T, least, x[j], zh_max_##S) }                                                          \
    ZH_BLOCK(T, least, x[j * xs], zh_max_##S)                                                                      \
  }                                                                                                                \
  static inline T zh_sum_##S(const T *x, long xs, long count) {                                                    \
    T total = 0;                                                                                                   \
    for (long k = 0; k < count; k += BLOCK) total += zh_sum_block_##S(x + k * xs, xs, zh_least(BLOCK, count - k)); \
    return total;                                                                                                  \
  }                                                                                                                \
  static inline T zh_dot_##S(const T *x, long xs, const T *y, long ys, long count) {                               \
    T total = 0;                                                                                                   \
    for (long k = 0; k < count; k += BLOCK)                                                                        \
      total += zh_dot_block_##S(x + k * xs, xs, y + k * ys, ys, zh_least(BLOCK, count - k));                       \
    return total;                                                                                                  \
  }                                                                                                                \
  static inline void zh_topk_##S(const T *x, long n, long xs, int32_t *out, long k, long os) {                     \
    for (long r = 0; r < k; r++) {                                                                                 \
      long best = -1;                                                                                              \
      for (long j = 0; j < n; j++) {                                                                               \
        int taken = 0;                                                                                             \
        for (long p = 0; p < r; p++) taken |= out[p * os] == (int32_t)j;                                           \
        if (taken) continue;                                                                                       \
        const T v = x[j * xs];                                                                                     \
        if (best < 0 || v > x[best * xs] || (v != v && x[best * xs] == x[best * xs])) best = j;                    \
      }                                                                                                            \
      out[r * os] = best < 0 ? 0 : (int32_t)best;                                                                  \
    }                                                                                                              \
  }                                                                                                                \
  /* A total from its parts, in order: this thread's share of the elements. */                                     \
  __attribute__((unused)) static void zh_combine_##S(void **b, const long *z, long part, long parts) {             \
    (void)z;                                                                                                       \
    T *out = b[0];                                                                                                 \
    const T *in = b[1];                                                                                            \
    const long count = (long)b[2], chunks = (long)b[3];                                                            \
    const long first = count * part / parts, end = count * (part + 1) / parts;                                     \
    for (long i = first; i < end; i++) out[i] = in[i];                                                             \
    for (long c = 1; c < chunks; c++)                                                                              \
      for (long i = first; i < end; i++) out[i] += in[c * count + i];                                              \
  }

ZH_RUNS(float, f32, -__builtin_inff())
ZH_RUNS(double, f64, -__builtin_inf())
ZH_RUNS(int32_t, i32, (-2147483647 - 1))
