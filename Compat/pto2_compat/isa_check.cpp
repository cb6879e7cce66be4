/* Compiled once before kernels that use the ISA library: refuses a compiler for which its
 * bfloat16 is a float16. 257 has nine bits: bfloat16 keeps eight, float16 all of them. */
#include <cstdint>
#include <pto/pto-inst.hpp>

#include <type_traits>

static_assert(!std::is_same<bfloat16_t, half>::value,
              "pto2: this compiler takes float16 for bfloat16");
static_assert(!std::is_arithmetic<bfloat16_t>::value || float(bfloat16_t(257.0f)) == 256.0f,
              "pto2: this compiler's bfloat16 has another precision");
