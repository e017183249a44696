static inline void zh_threefry(uint32_t k0, uint32_t k1, uint32_t x, uint32_t y, uint32_t *a, uint32_t *b) {
  const uint32_t ks[3] = {k0, k1, k0 ^ k1 ^ 0x1BD11BDAu};
  static const int rot[8] = {13, 15, 26, 6, 17, 29, 16, 24};
  x += ks[0]; y += ks[1];
  for (int r = 0; r < 20; r++) { x += y; y = ((y << rot[r % 8]) | (y >> (32 - rot[r % 8]))) ^ x;
    if (r % 4 == 3) { int j = r / 4 + 1; x += ks[j % 3]; y += ks[(j + 1) % 3] + (uint32_t)j; } }
  *a = x; *b = y; }
static inline void zh_key(uint32_t *k, uint32_t c, uint32_t n) { uint32_t a, b; zh_threefry(k[0], k[1], c, n, &a, &b); k[0] = a; k[1] = b; }
#define U(T,S) static inline void zh_uniform_##S(const uint32_t *k, long e, long es, long n, T *out, long os) { \
 for (long i = 0; i < n; i++) { long j = e + i * es, b = j >> 1; uint32_t x, y; zh_threefry(k[0], k[1], (uint32_t)b, (uint32_t)(b >> 32), &x, &y); out[i*os] = (T)((j & 1 ? y : x) >> 8) * (T)(1.0/16777216.0); } }
U(float,f32) U(double,f64)
