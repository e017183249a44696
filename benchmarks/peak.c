/* Fused multiply-adds that wait for nothing: 12 independent chains of vectors, which hides a latency of up to 6 cycles
   on two units. Called from one thread for each core. */
#ifdef __AVX512F__
enum { LANES = 16 };
#elif defined(__AVX__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
typedef float vector __attribute__((vector_size(LANES * 4)));

/* Runs `rounds` rounds; returns the floating-point operations done. `out` keeps the result alive. */
double multiply_add(long rounds, float *out) {
  vector a[12], x, y;
  for (int i = 0; i < LANES; i++) x[i] = 0.999f, y[i] = 0.001f;
  for (int k = 0; k < 12; k++) a[k] = y * (float)k;
  for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 12
    for (int k = 0; k < 12; k++) a[k] = a[k] * x + y;
  }
  for (int k = 1; k < 12; k++) a[0] += a[k];
  for (int i = 0; i < LANES; i++) out[i] = a[0][i];
  return 2.0 * 12 * LANES * (double)rounds;
}
