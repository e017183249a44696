#include <math.h>
#include <stdint.h>
#define F1(n) static inline float zh_##n##_f32(float x) { return n##f(x); } static inline double zh_##n##_f64(double x) { return n(x); }
F1(exp) F1(log) F1(sqrt) F1(tanh) F1(erf) F1(sin) F1(cos) F1(floor)
static inline float zh_pow_f32(float x, float y) { return powf(x,y);} static inline double zh_pow_f64(double x, double y) { return pow(x,y);}
static inline float zh_floordiv_f32(float x, float y) { return floorf(x/y);} static inline double zh_floordiv_f64(double x, double y) { return floor(x/y);}
static inline int zh_floordiv_i32(int a, int b) { int q = a / b; return q - ((a % b != 0) & ((a < 0) != (b < 0))); }
static inline float zh_mod_f32(float x, float y) { return x - y*floorf(x/y);} static inline double zh_mod_f64(double x, double y) { return x - y*floor(x/y);}
static inline int zh_mod_i32(int a, int b) { return a - b*zh_floordiv_i32(a,b); }
