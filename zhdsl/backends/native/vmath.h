/* Scalar functions of kernels, written so that a compiler turns loops over them into vector code.

   Plain C without branches: selections, polynomials, casts between numbers and their bits. No function of f32, and
   neither exp nor tanh of f64, calls the C library; the other functions of f64 do, since f64 is the reference dtype and
   its accuracy comes first. Every function takes every number: zeros of both signs, subnormals, infinities, nan.

   The errors stated bound the largest found, in units in the last place (ulp) of the result, with and without fused
   multiply-add; tests/backends/native/test_vmath.py holds them over numbers of all magnitudes.

   Not to be compiled with flags that allow reassociation or assume finite numbers: adding and subtracting `ROUND` is
   how numbers are rounded here. */
#ifndef ZH_VMATH_H
#define ZH_VMATH_H
#include <stdint.h>

#define ZH_INLINE static inline __attribute__((always_inline))

/* ---------------------------------------------------------------- bits */
ZH_INLINE uint32_t zh_bits_f32(float x) { uint32_t b; __builtin_memcpy(&b, &x, sizeof b); return b; }
ZH_INLINE uint64_t zh_bits_f64(double x) { uint64_t b; __builtin_memcpy(&b, &x, sizeof b); return b; }
ZH_INLINE float zh_float_f32(uint32_t b) { float x; __builtin_memcpy(&x, &b, sizeof x); return x; }
ZH_INLINE double zh_float_f64(uint64_t b) { double x; __builtin_memcpy(&x, &b, sizeof x); return x; }

/* x + ROUND - ROUND is x rounded to a whole number, for |x| < 2^22 (f32) or 2^51 (f64); the lowest bits of x + ROUND
   are that number in two's complement. */
#define ZH_ROUND_F32 0x1.8p23f
#define ZH_ROUND_F64 0x1.8p52
/* The lower bound is tried with the operands in this order so that nan goes through. */
#define ZH_CLAMP(x, low, high) ((low) > (x) ? (low) : (high) < (x) ? (high) : (x))

/* ln 2 in two parts; a whole number below 2^14 (f32) or 2^21 (f64) times the first is exact. */
#define ZH_LOG2E_F32 0x1.715476p+0f
#define ZH_LN2_HIGH_F32 0x1.63p-1f
#define ZH_LN2_LOW_F32 -0x1.bd0106p-13f
#define ZH_LOG2E_F64 0x1.71547652b82fep+0
#define ZH_LN2_HIGH_F64 0x1.62e42feep-1
#define ZH_LN2_LOW_F64 0x1.a39ef35793c76p-33

/* ---------------------------------------------------------------- exp, tanh */
/* e^r - 1 = r + r^2 q(r) for |r| <= ln(2) / 2, q a minimax polynomial of relative error 2^-31 (f32), 2^-61 (f64). */
ZH_INLINE float zh_expm1_part_f32(float r) {
  float q = 0.000197483343f;
  q = q * r + 0.00139326812f;
  q = q * r + 0.00833356101f;
  q = q * r + 0.0416664891f;
  q = q * r + 0.166666657f;
  q = q * r + 0.5f;
  return r * r * q + r;
}

/* r + rest, where rest is what r lacks for its rounding */
ZH_INLINE double zh_expm1_part_f64(double r, double rest) {
  double q = 2.089322722177977e-09;
  q = q * r + 2.510918625479597e-08;
  q = q * r + 2.7557340360928073e-07;
  q = q * r + 2.7557243775765596e-06;
  q = q * r + 2.4801587252697322e-05;
  q = q * r + 0.0001984126988657072;
  q = q * r + 0.0013888888888916057;
  q = q * r + 0.008333333333321443;
  q = q * r + 0.04166666666666662;
  q = q * r + 0.16666666666666677;
  q = q * r + 0.5;
  return (r * r * q + rest) + r;
}

/* e^x = 2^n e^r with n = round(x / ln 2). 2^n is applied in two factors, as it may be no normal number.
   Error: 1.0 ulp (f32, f64). */
ZH_INLINE float zh_exp_f32(float x) {
  x = ZH_CLAMP(x, -104.0f, 89.0f);
  float t = x * ZH_LOG2E_F32 + ZH_ROUND_F32, n = t - ZH_ROUND_F32;
  float r = x - n * ZH_LN2_HIGH_F32 - n * ZH_LN2_LOW_F32;
  uint32_t bits = zh_bits_f32(t), half = bits >> 1;
  float first = zh_float_f32((half + 127) << 23), second = zh_float_f32((bits - half + 127) << 23);
  return (zh_expm1_part_f32(r) + 1.0f) * first * second;
}

ZH_INLINE double zh_exp_f64(double x) {
  x = ZH_CLAMP(x, -746.0, 710.0);
  double t = x * ZH_LOG2E_F64 + ZH_ROUND_F64, n = t - ZH_ROUND_F64;
  double r = x - n * ZH_LN2_HIGH_F64 - n * ZH_LN2_LOW_F64;
  uint64_t bits = zh_bits_f64(t), half = bits >> 1;
  double first = zh_float_f64((half + 1023) << 52), second = zh_float_f64((bits - half + 1023) << 52);
  return (zh_expm1_part_f64(r, 0.0) + 1.0) * first * second;
}

/* |x| < 0.55: x + x^3 p(x^2); else 1 - 2 / (e^(2|x|) + 1), with e^(2|x|) = 2^n (1 + (e^r - 1)).
   Error: 1.4 ulp. */
ZH_INLINE float zh_tanh_f32(float x) {
  float a = __builtin_fabsf(x);
  float y = 2.0f * (9.1f < a ? 9.1f : a); /* beyond, it rounds to 1 */
  float t = y * ZH_LOG2E_F32 + ZH_ROUND_F32, n = t - ZH_ROUND_F32;
  float r = y - n * ZH_LN2_HIGH_F32 - n * ZH_LN2_LOW_F32;
  float scale = zh_float_f32((zh_bits_f32(t) + 127) << 23);
  float large = 1.0f - 2.0f / (zh_expm1_part_f32(r) * scale + (scale + 1.0f));
  float z = a * a;
  float p = -0.00626036851f;
  p = p * z + 0.0210609864f;
  p = p * z - 0.0538494252f;
  p = p * z + 0.133325547f;
  p = p * z - 0.333333164f;
  return __builtin_copysignf(0.55f > a ? p * (z * a) + a : large, x);
}

/* u / (u + 2) with u = e^(2|x|) - 1 = 2^n (e^r - 1) + (2^n - 1), less what the rounding of u + 2 adds: to the first
   order, since 1 / (u + 2) = (1 - tanh |x|) / 2. Error: 2.0 ulp. */
ZH_INLINE double zh_tanh_f64(double x) {
  double a = __builtin_fabs(x);
  double y = 2.0 * (19.1 < a ? 19.1 : a);
  double t = y * ZH_LOG2E_F64 + ZH_ROUND_F64, n = t - ZH_ROUND_F64;
  double high = y - n * ZH_LN2_HIGH_F64, r = high - n * ZH_LN2_LOW_F64, rest = (high - r) - n * ZH_LN2_LOW_F64;
  double scale = zh_float_f64((zh_bits_f64(t) + 1023) << 52);
  double u = zh_expm1_part_f64(r, rest) * scale + (scale - 1.0);
  double sum = u + 2.0, lost = u > 2.0 ? 2.0 - (sum - u) : u - (sum - 2.0), tanh = u / sum;
  return __builtin_copysign(tanh - tanh * (0.5 * lost * (1.0 - tanh)), x);
}

/* ---------------------------------------------------------------- log */
/* x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), ln(1 + f) = f - f^2 / 2 + f^3 p(f). Error: 0.9 ulp. */
ZH_INLINE float zh_log_f32(float x) {
  uint32_t small = x < 0x1p-126f, bits = zh_bits_f32(small ? x * 0x1p23f : x);
  int32_t e = (int32_t)((bits + (0x3f800000 - 0x3f3504f3)) >> 23) - 127;
  float f = zh_float_f32(bits - ((uint32_t)e << 23)) - 1.0f;
  float n = (float)(small ? e - 23 : e);
  float p = 0.0673148111f;
  p = p * f - 0.116598502f;
  p = p * f + 0.118863828f;
  p = p * f - 0.124083169f;
  p = p * f + 0.142202288f;
  p = p * f - 0.166678503f;
  p = p * f + 0.20002073f;
  p = p * f - 0.250000119f;
  p = p * f + 0.333333135f;
  float square = f * f;
  float tail = square * (f * p) + (n * ZH_LN2_LOW_F32 - 0.5f * square);
  float y = n * ZH_LN2_HIGH_F32 + (f + tail);
  y = x < __builtin_inff() ? y : x;
  return x <= 0.0f ? (x == 0.0f ? -__builtin_inff() : __builtin_nanf("")) : y;
}

ZH_INLINE double zh_log_f64(double x) { return __builtin_log(x); }

/* ---------------------------------------------------------------- erf */
/* |x| < 1: x + x p(x^2); else 1 - e^(-q(|x|)), which rounds to 1 from 4 on. Error: 1.3 ulp. */
ZH_INLINE float zh_erf_f32(float x) {
  float a = __builtin_fabsf(x);
  a = 4.0f < a ? 4.0f : a;
  float z = a * a;
  float p = 7.83852593e-05f;
  p = p * z - 0.00080057187f;
  p = p * z + 0.00518785184f;
  p = p * z - 0.0268535949f;
  p = p * z + 0.112835817f;
  p = p * z - 0.37612626f;
  p = p * z + 0.128379166f;
  float q = 2.17209672e-05f;
  q = q * a - 0.000441769138f;
  q = q * a + 0.00420686183f;
  q = q * a - 0.0252149012f;
  q = q * a + 0.108429857f;
  q = q * a + 0.633208632f;
  q = q * a + 1.12958455f;
  q = q * a - 0.000189442522f;
  float t = ZH_ROUND_F32 - q * ZH_LOG2E_F32, n = t - ZH_ROUND_F32;
  float r = -q - n * ZH_LN2_HIGH_F32 - n * ZH_LN2_LOW_F32;
  float scale = zh_float_f32((zh_bits_f32(t) + 127) << 23);
  float large = (1.0f - scale) - zh_expm1_part_f32(r) * scale;
  return __builtin_copysignf(1.0f > a ? p * a + a : large, x);
}

ZH_INLINE double zh_erf_f64(double x) { return __builtin_erf(x); }

/* ---------------------------------------------------------------- sin, cos */
/* The reduction of |x| to quarter turns is right for every f32. With |x| = a 2^c, c = 0, 29,
   58 or 87 such that a < 2^52 and, but for c = 0, a is whole: |x| 2/pi = a (2^c 2/pi), of which whole turns, that is
   multiples of 4, may be left out: a ((2^c 2/pi) mod 4). That factor has three parts, of which the first two have 28
   bits, so that their products with the 24 bits of a are exact. Here, the parts are divided by 2^c instead of x. */
#define ZH_PART(c0, c29, c58, c87) (x < 0x1p52 ? c0 : x < 0x1p81 ? c29 : x < 0x1p110 ? c58 : c87)
#define ZH_ROUND_TURN 0x1.8p54 /* as ZH_ROUND_F64, to multiples of 4 */

/* sin or cos, as `shift` is 0 or 1, of an angle of at least 0. Error: 1.7 ulp, for the largest angles too. */
ZH_INLINE float zh_sine_f32(float angle, uint32_t shift) {
  double x = angle;
  double first = ZH_PART(0x1.45f307p-1, 0x1.c9c882cp-29, 0x1.4fe13a8p-59, -0x1.7056580p-91);
  double second = ZH_PART(-0x1.1b1bbeap-28, -0x1.ac07b16p-57, 0x1.f47d4d4p-86, -0x1.11f924ep-115);
  double third =
    ZH_PART(-0x1.ac07b1505c159p-57, 0x1.f47d4d377036ep-86, -0x1.11f924eb53362p-115, -0x1.6a66c3bc6fbe0p-144);
  double p = x * first, q = x * second;
  p = p - (p + ZH_ROUND_TURN - ZH_ROUND_TURN);
  q = q - (q + ZH_ROUND_TURN - ZH_ROUND_TURN);
  double t = p + q + ZH_ROUND_F64, n = t - ZH_ROUND_F64;
  float r = (float)((((p - n) + q) + x * third) * 0x1.921fb54442d18p+0);
  uint32_t quarter = (uint32_t)zh_bits_f64(t) + shift;
  float z = r * r;
  float s = 2.83267968e-06f;
  s = s * z - 0.000198530717f;
  s = s * z + 0.0083333794f;
  s = s * z - 0.166666672f;
  s = s * (z * r) + r;
  float c = 2.44323364e-05f;
  c = c * z - 0.00138873095f;
  c = c * z + 0.0416666456f;
  c = c * (z * z) + (1.0f - 0.5f * z);
  return zh_float_f32(zh_bits_f32(quarter & 1 ? c : s) ^ (quarter & 2) << 30);
}

ZH_INLINE float zh_sin_f32(float x) {
  float y = zh_sine_f32(__builtin_fabsf(x), 0);
  return zh_float_f32(zh_bits_f32(y) ^ (zh_bits_f32(x) & 0x80000000u));
}

ZH_INLINE float zh_cos_f32(float x) { return zh_sine_f32(__builtin_fabsf(x), 1); }
ZH_INLINE double zh_sin_f64(double x) { return __builtin_sin(x); }
ZH_INLINE double zh_cos_f64(double x) { return __builtin_cos(x); }

/* ---------------------------------------------------------------- floor, sqrt */
ZH_INLINE float zh_floor_f32(float x) { return __builtin_floorf(x); }
ZH_INLINE double zh_floor_f64(double x) { return __builtin_floor(x); }
ZH_INLINE float zh_sqrt_f32(float x) { return __builtin_sqrtf(x); }
ZH_INLINE double zh_sqrt_f64(double x) { return __builtin_sqrt(x); }

/* ---------------------------------------------------------------- pow */
/* 2^(y log2 |x|) in f64, then the sign and the special cases of C99. With |x| = 2^e m as for log and
   s = (m - 1) / (m + 1): log2 m = s p(s^2), of relative error 2^-37. Error: 0.6 ulp. */
ZH_INLINE float zh_pow_f32(float x, float y) {
  double a = __builtin_fabs((double)x);
  uint64_t bits = zh_bits_f64(a);
  int32_t e = (int32_t)((bits + (0x3ff0000000000000 - 0x3fe6a09e667f3bcd)) >> 52) - 1023;
  double m = zh_float_f64(bits - ((uint64_t)e << 52)), s = (m - 1.0) / (m + 1.0), z = s * s;
  double p = 0.34072683872809517;
  p = p * z + 0.41167288725501405;
  p = p * z + 0.5770835823782391;
  p = p * z + 0.9617966733532216;
  p = p * z + 2.8853900817900784;
  double log = p * s + (double)e;
  log = a < __builtin_inf() ? (a == 0.0 ? -__builtin_inf() : log) : a;
  double power = (double)y * log;
  power = ZH_CLAMP(power, -300.0, 300.0);
  double t = power + ZH_ROUND_F64, r = power - (t - ZH_ROUND_F64);
  double q = 0.00015345207012856874;
  q = q * r + 0.0013400191717612324;
  q = q * r + 0.00961849312700842;
  q = q * r + 0.055503281337635456;
  q = q * r + 0.24022646833592531;
  q = q * r + 0.6931472060309667;
  q = q * r + 1.0000000005641292;
  float value = (float)(q * zh_float_f64((zh_bits_f64(t) + 1023) << 52));
  float whole = __builtin_floorf(y), half = 0.5f * y;
  uint32_t odd = (whole == y) & (__builtin_floorf(half) != half);
  value = zh_float_f32(zh_bits_f32(value) ^ (odd << 31 & zh_bits_f32(x)));
  value = (x < 0.0f) & (a < __builtin_inf()) & (whole != y) ? __builtin_nanf("") : value;
  uint32_t one = (y == 0.0f) | (x == 1.0f) | ((x == -1.0f) & (__builtin_fabsf(y) == __builtin_inff()));
  return one ? 1.0f : value;
}

ZH_INLINE double zh_pow_f64(double x, double y) { return __builtin_pow(x, y); }

/* ---------------------------------------------------------------- floordiv, mod */
/* The quotient of two f32 is no closer to a whole number than f64 can tell, unless it is so large that f32 cannot.
   Exact below 2^24, else within 1 ulp (NumPy, which rounds in between, is sometimes one off).
   In place of an infinite y, here and in mod, stands one so large that the quotient keeps its sign but is nearly 0. */
ZH_INLINE float zh_floordiv_f32(float x, float y) {
  double divisor = __builtin_fabsf(y) == __builtin_inff() ? __builtin_copysign(0x1p200, (double)y) : (double)y;
  float quotient = (float)__builtin_floor((double)x / divisor);
  return (__builtin_fabsf(x) == __builtin_inff()) & (y != 0.0f) ? __builtin_nanf("") : quotient;
}

/* x less a multiple of y, that of the upper 29 bits of x / y: all is exact in f64, as y has 24 bits. */
ZH_INLINE double zh_reduce_f64(double x, double y, double reciprocal) {
  return x - __builtin_trunc(zh_float_f64(zh_bits_f64(x * reciprocal) & ~(uint64_t)0xffffff)) * y;
}

/* x / y is below 2^277; each of ten steps takes 28 bits from it. The last quotient may be wrong by one. Exact. */
ZH_INLINE float zh_mod_f32(float x, float y) {
  double a = __builtin_fabs((double)x), b = __builtin_fabs((double)y);
  b = b == __builtin_inf() ? 0x1p200 : b;
  double c = 1.0 / b;
  a = zh_reduce_f64(zh_reduce_f64(zh_reduce_f64(zh_reduce_f64(zh_reduce_f64(a, b, c), b, c), b, c), b, c), b, c);
  a = zh_reduce_f64(zh_reduce_f64(zh_reduce_f64(zh_reduce_f64(zh_reduce_f64(a, b, c), b, c), b, c), b, c), b, c);
  a = a < 0.0 ? a + b : a;
  a = a >= b ? a - b : a;
  float r = __builtin_copysignf((float)a, x);
  float moved = (r < 0.0f) != (y < 0.0f) ? r + y : r;
  return r == 0.0f ? __builtin_copysignf(0.0f, y) : moved;
}

ZH_INLINE double zh_mod_f64(double x, double y) {
  double r = __builtin_fmod(x, y);
  double moved = (r < 0.0) != (y < 0.0) ? r + y : r;
  return r == 0.0 ? __builtin_copysign(0.0, y) : moved;
}

/* As NumPy: the remainder first, since x / y may round up to a whole number that it does not reach. */
ZH_INLINE double zh_floordiv_f64(double x, double y) {
  double r = __builtin_fmod(x, y);
  double quotient = (x - r) / y - (r != 0.0 && (r < 0.0) != (y < 0.0) ? 1.0 : 0.0);
  double whole = __builtin_floor(quotient);
  whole = quotient - whole > 0.5 ? whole + 1.0 : whole;
  whole = quotient == 0.0 ? __builtin_copysign(0.0, x / y) : whole;
  return y == 0.0 ? x / y : whole;
}

/* In f64, where vectors can divide and the quotient of two i32 never rounds up to a whole number. By 0 it is 0 here;
   -2^31 by -1 wraps around. */
ZH_INLINE int32_t zh_floordiv_i32(int32_t x, int32_t y) {
  double quotient = __builtin_floor((double)x / (y == 0 ? 1.0 : (double)y));
  quotient = quotient == 0x1p31 ? -0x1p31 : quotient;
  return y == 0 ? 0 : (int32_t)quotient;
}

ZH_INLINE int32_t zh_mod_i32(int32_t x, int32_t y) {
  uint32_t rest = (uint32_t)x - (uint32_t)zh_floordiv_i32(x, y) * (uint32_t)y;
  return y == 0 ? 0 : (int32_t)rest;
}

#endif
