"""The C that every product's text stands on: vector types of one width, partial vectors, transposition of a tile.

GCC's vector extensions, so one text serves AVX-512, AVX2, NEON and anything else; a partial vector uses the machine's
masked loads where it has them.
"""

from __future__ import annotations

TYPES = (("f32", "float", "int", 4, "ps"), ("f64", "double", "long long", 8, "pd"))

MASKED = """\
#if {wide} && defined(__AVX512F__)
typedef unsigned char {v}_maskb; typedef unsigned short {v}_maskw;
typedef {v}_mask{size} {v}_mask;
static inline {v}_mask {v}_first(long n) {{ return ({v}_mask)((1u << n) - 1u); }}
static inline {v} {v}_load_part(const {t} *p, {v}_mask m) {{
  return ({v})__builtin_ia32_load{u}512_mask((const {t} *)p, ({v}_full){{0}}, m);
}}
static inline void {v}_store_part({t} *p, {v} x, {v}_mask m) {{
  __builtin_ia32_store{u}512_mask(({t} *)p, ({v}_full)x, m);
}}
#elif {half} && defined(__AVX__)
typedef {v}_ints {v}_mask;
static inline {v}_mask {v}_first(long n) {{ return ({v}_ints){{{iota}}} < ({i})n; }}
static inline {v} {v}_load_part(const {t} *p, {v}_mask m) {{
  return ({v})__builtin_ia32_maskload{x}256((const {v}_full *)p, m);
}}
static inline void {v}_store_part({t} *p, {v} x, {v}_mask m) {{
  __builtin_ia32_maskstore{x}256(({v}_full *)p, m, ({v}_full)x);
}}
#else
typedef long {v}_mask;
static inline {v}_mask {v}_first(long n) {{ return n; }}
static inline {v} {v}_load_part(const {t} *p, {v}_mask n) {{
  {v} x = {{0}};
  for (long i = 0; i < n; i++) x[i] = p[i];
  return x;
}}
static inline void {v}_store_part({t} *p, {v} x, {v}_mask n) {{
  for (long i = 0; i < n; i++) p[i] = x[i];
}}
#endif
"""

PANELS = """\
static __attribute__((noinline, noclone, unused)) void {v}_gather(const {t} *from, long step, long apart, {t} *to,
    long wide, long stride, long steps, long n) {{
  for (long k = 0; k < steps; k++) {{
    for (long j = 0; j < n; j++) to[k * stride + j] = from[k * step + j * apart];
    for (long j = n; j < wide; j++) to[k * stride + j] = 0;
  }}
}}
static __attribute__((noinline, noclone, unused)) void {v}_transpose(const {t} *from, long apart, {t} *to, long wide,
    long steps, long n) {{
  const long whole_n = n - n % {lanes}, whole_steps = steps - steps % {lanes};
  for (long k = 0; k < whole_steps; k += {lanes})
    for (long j = 0; j < whole_n; j += {lanes}) {v}_tile(from + j * apart + k, apart, to + k * wide + j, wide);
  {v}_gather(from + whole_n * apart, 1, apart, to + whole_n, wide - whole_n, wide, whole_steps, n - whole_n);
  {v}_gather(from + whole_steps, 1, apart, to + whole_steps * wide, wide, wide, steps - whole_steps, n);
}}
"""

SHUFFLE = """\
#ifdef __clang__
#define PRODUCT_SHUFFLE(ints, x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#else
#define PRODUCT_SHUFFLE(ints, x, y, ...) __builtin_shuffle(x, y, (ints){__VA_ARGS__})
#endif
"""


def product_prelude(width: int = 64) -> str:
    """Types and functions that `product_source` of the same width uses; once in a unit, before the products."""
    return SHUFFLE + "".join(prelude_of(*names, width) for names in TYPES)


def prelude_of(dtype: str, ctype: str, integer: str, itemsize: int, suffix: str, width: int) -> str:
    v, lanes = vector_name(dtype), width // itemsize
    mask = MASKED.format(
        v=v, t=ctype, i=integer, u=f"u{suffix}", x=suffix, wide=int(width == 64), half=int(width == 32),
        size="w" if lanes > 8 else "b", iota=", ".join(map(str, range(lanes))),
    )  # fmt: skip
    return (
        f"typedef {ctype} {v}_full __attribute__((vector_size({width})));\n"
        f"typedef {ctype} {v} __attribute__((vector_size({width}), aligned({itemsize}), may_alias));\n"
        f"typedef {integer} {v}_ints __attribute__((vector_size({width})));\n{mask}{tile(v, ctype, lanes)}"
        + PANELS.format(v=v, t=ctype, lanes=lanes)
    )


def vector_name(dtype: str) -> str:
    """The C type of a vector that may lie anywhere."""
    return f"product_{dtype}"


def tile(v: str, ctype: str, lanes: int) -> str:
    """A square tile of vectors, transposed by exchanging ever larger blocks: log2(lanes) rounds of `lanes` shuffles."""
    lines = [f"  {v}_full x{i} = *(const {v} *)(from + {i} * apart);" for i in range(lanes)]
    step, names, fresh = 1, [f"x{i}" for i in range(lanes)], 0
    while step < lanes:
        keep = [j if not j & step else lanes + j - step for j in range(lanes)]
        swap = [j + step if not j & step else lanes + j for j in range(lanes)]
        result = list(names)
        for i in (i for i in range(lanes) if not i & step):
            pair = (names[i], names[i + step])
            for index, order in ((i, keep), (i + step, swap)):
                result[index], fresh = f"y{fresh}", fresh + 1
                picks = ", ".join(map(str, order))
                lines.append(f"  {v}_full {result[index]} = PRODUCT_SHUFFLE({v}_ints, {pair[0]}, {pair[1]}, {picks});")
        names, step = result, step * 2
    lines += [f"  *({v} *)(to + {i} * stride) = {name};" for i, name in enumerate(names)]
    head = f"static __attribute__((noinline, noclone, unused)) void {v}_tile"
    return "\n".join([f"{head}(const {ctype} *from, long apart, {ctype} *to, long stride) {{", *lines, "}", ""])
