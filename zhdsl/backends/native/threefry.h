/* Uniform random numbers as a pure function of counters: the bits of zhdsl/ops/random.py, in any order.

   Source: Salmon, Moraes, Dror, Shaw, Parallel random numbers: as easy as 1, 2, 3 (SC 2011), Threefry-2x32-20. */
#ifndef ZH_THREEFRY_H
#define ZH_THREEFRY_H
#include <stdint.h>

#define ZH_ROUND(left) x += y, y = (y << left | y >> (32 - left)) ^ x
#define ZH_INJECT(first, second, number) x += first, y += second + number
#define ZH_ROUNDS_A ZH_ROUND(13), ZH_ROUND(15), ZH_ROUND(26), ZH_ROUND(6)
#define ZH_ROUNDS_B ZH_ROUND(17), ZH_ROUND(29), ZH_ROUND(16), ZH_ROUND(24)

/* The counter (*first, *second) becomes two words of random bits; the key is (k, l). */
static inline __attribute__((always_inline)) void zh_threefry(uint32_t k, uint32_t l, uint32_t *first,
                                                              uint32_t *second) {
  uint32_t m = k ^ l ^ 0x1bd11bda, x = *first + k, y = *second + l;
  ZH_ROUNDS_A, ZH_INJECT(l, m, 1), ZH_ROUNDS_B, ZH_INJECT(m, k, 2), ZH_ROUNDS_A, ZH_INJECT(k, l, 3);
  ZH_ROUNDS_B, ZH_INJECT(l, m, 4), ZH_ROUNDS_A, ZH_INJECT(m, k, 5);
  *first = x, *second = y;
}

/* The key once counter number k has been taken into it. */
static inline void zh_key(uint32_t *key, uint32_t counter, uint32_t k) {
  zh_threefry(key[0], key[1], &counter, &k);
  key[0] = counter, key[1] = k;
}

/* zh_uniform_DTYPE: out[i * stride] = the number of element first + i * step, for i < count. Element e is word e % 2 of
   block e / 2, its upper 24 bits / 2^24. Whole blocks that lie side by side are made as vectors; a run of them ends
   where the upper word of the block's number changes. */
#define ZH_UNIFORM(dtype, type)                                                                                   \
  static inline __attribute__((always_inline)) type zh_unit_##dtype(uint32_t word) {                              \
    return (type)(int32_t)(word >> 8) * (type)0x1p-24;                                                            \
  }                                                                                                               \
  static inline type zh_element_##dtype(const uint32_t *key, uint64_t e) {                                        \
    uint32_t x = (uint32_t)(e >> 1), y = (uint32_t)(e >> 33);                                                     \
    zh_threefry(key[0], key[1], &x, &y);                                                                          \
    return zh_unit_##dtype(e & 1 ? y : x);                                                                        \
  }                                                                                                               \
  static inline void zh_blocks_##dtype(const uint32_t *key, uint64_t block, long count, type *restrict out) {     \
    uint32_t k = key[0], l = key[1], low = (uint32_t)block, high = (uint32_t)(block >> 32);                       \
    _Pragma("omp simd") for (long i = 0; i < count; i++) {                                                        \
      uint32_t x = low + (uint32_t)i, y = high;                                                                   \
      zh_threefry(k, l, &x, &y);                                                                                  \
      out[2 * i] = zh_unit_##dtype(x);                                                                            \
      out[2 * i + 1] = zh_unit_##dtype(y);                                                                        \
    }                                                                                                             \
  }                                                                                                               \
  static inline void zh_uniform_##dtype(const uint32_t *key, long first, long step, long count, type *out,        \
                                        long stride) {                                                            \
    if (step != 1 || stride != 1) {                                                                               \
      for (long i = 0; i < count; i++) out[i * stride] = zh_element_##dtype(key, (uint64_t)(first + i * step));   \
      return;                                                                                                     \
    }                                                                                                             \
    long done = 0;                                                                                                \
    if (count > 0 && first & 1) out[done++] = zh_element_##dtype(key, (uint64_t)first);                           \
    while (count - done >= 2) {                                                                                   \
      uint64_t block = (uint64_t)(first + done) >> 1, left = 0x100000000 - (block & 0xffffffff);                  \
      long blocks = (uint64_t)((count - done) / 2) < left ? (count - done) / 2 : (long)left;                      \
      zh_blocks_##dtype(key, block, blocks, out + done);                                                          \
      done += 2 * blocks;                                                                                         \
    }                                                                                                             \
    if (done < count) out[done] = zh_element_##dtype(key, (uint64_t)(first + done));                              \
  }
ZH_UNIFORM(f32, float)
ZH_UNIFORM(f64, double)

#undef ZH_UNIFORM
#undef ZH_ROUNDS_A
#undef ZH_ROUNDS_B
#undef ZH_INJECT
#undef ZH_ROUND
#endif
