"""bool and 8-bit floats, against numbers by the definition of their formats."""
import math
import random
import struct
import unittest

import pto2
from pto2 import inout, overwrite

from .support import Case, needs_numpy, numpy as np

SOURCE = r"""
#include "pto2_kernel.h"

/* 0 x, 8-bit floats (in), 1 y f32 (out). */
static void widen(const pto2_kernel_args *args) {
    const uint8_t *x = args->data[0];
    float *y = args->data[1];
    for (uint32_t i = 0; i < args->tensor[0].element_count; i++)
        y[i] = args->tensor[0].dtype == PTO2_FLOAT8_E5M2 ? pto2_e5m2_to_f32(x[i])
                                                         : pto2_e4m3_to_f32(x[i]);
}

/* 0 x f32 (in), 1 y, 8-bit floats (out). */
static void narrow(const pto2_kernel_args *args) {
    const float *x = args->data[0];
    uint8_t *y = args->data[1];
    for (uint32_t i = 0; i < args->tensor[0].element_count; i++)
        y[i] = args->tensor[1].dtype == PTO2_FLOAT8_E5M2 ? pto2_f32_to_e5m2(x[i])
                                                         : pto2_f32_to_e4m3(x[i]);
}

/* 0 x bool, in place. */
static void invert(const pto2_kernel_args *args) {
    uint8_t *x = args->data[0];
    if (args->tensor[0].dtype != PTO2_BOOL) return;
    for (uint32_t i = 0; i < args->tensor[0].element_count; i++) x[i] = !x[i];
}

PTO2_KERNELS({"widen", widen, PTO2_AIV}, {"narrow", narrow, PTO2_AIV},
             {"invert", invert, PTO2_AIV})
"""

#: name: bits of the fraction, bias, whether there are infinities
FORMATS = {"float8_e4m3fn": (3, 7, False), "float8_e5m2": (2, 15, True)}


def value(bits, fraction, bias, infinite):
    sign = -1.0 if bits & 0x80 else 1.0
    exponent, rest = (bits & 0x7F) >> fraction, bits & ((1 << fraction) - 1)
    if infinite and exponent == 31:
        return sign * math.inf if rest == 0 else math.nan
    if not infinite and bits & 0x7F == 0x7F:
        return math.nan
    if exponent == 0:
        return sign * math.ldexp(rest, 1 - bias - fraction)
    return sign * math.ldexp(rest + (1 << fraction), exponent - bias - fraction)


def nearest(number, fraction, bias, infinite):
    """By looking at all of them; of two as near, the even one. Beyond: the next there would be."""
    finite = [b for b in range(128) if math.isfinite(value(b, fraction, bias, infinite))]
    beyond = len(finite)
    table = [value(b, fraction, bias, infinite) for b in finite]
    table.append(2 * table[-1] - table[-2])
    best = min(range(beyond + 1), key=lambda b: (abs(table[b] - abs(number)), b & 1))
    return best | (0x80 if math.copysign(1, number) < 0 else 0)


def same(a, b):
    return math.isnan(a) and math.isnan(b) or \
        struct.pack("<d", a) == struct.pack("<d", b)


class TypesTests(Case):
    def setUp(self):
        super().setUp()
        self.image = pto2.kernels(SOURCE)

    def test_all_256_are_widened_exactly(self):
        with self.session(self.image) as s:
            for name, form in FORMATS.items():
                def program(g):
                    x, y = g.zeros(256, name), g.zeros(256)
                    x.memoryview()[:] = bytes(range(256))
                    g.submit("widen", x, overwrite(y))
                    return y
                found = list(s.run(program).memoryview())
                for bits in range(256):
                    self.assertTrue(same(value(bits, *form), found[bits]), (name, bits))

    def test_numbers_are_rounded_to_the_nearest(self):
        dice = random.Random(5)
        for name, form in FORMATS.items():
            known = [value(b, *form) for b in range(256)]
            known = sorted(x for x in known if math.isfinite(x))
            numbers = known + [(a + b) / 2 for a, b in zip(known, known[1:])]
            numbers += [x * (1 + d) for x in numbers for d in (2**-22, -2**-22)]
            top = known[-1]
            numbers += [dice.uniform(-top, top) for _ in range(200)] + [0.0, -0.0, 1e-30, -1e-30]
            numbers += [top + (known[-1] - known[-2]) * d for d in (0.49, 0.5, 0.51, 100)]
            numbers = [struct.unpack("<f", struct.pack("<f", x))[0] for x in numbers]

            def program(g):
                x = g.zeros(len(numbers))
                x.memoryview()[:] = memoryview(struct.pack(f"<{len(numbers)}f", *numbers)).cast("f")
                y = g.zeros(len(numbers), name)
                g.submit("narrow", x, overwrite(y))
                return y
            with self.session(self.image) as s:
                found = list(s.run(program).memoryview())
            for number, bits in zip(numbers, found):
                self.assertEqual(nearest(number, *form), bits, (name, number))

    def test_condition_on_8_bit_floats_and_bool(self):
        with self.session(self.image) as s:
            def program(g):
                half = g.zeros(1, "float8_e4m3fn")
                half.set(0, 0x30)
                yes, flags = g.zeros(1, "bool"), g.zeros(4, "bool")
                yes.set(0, True)
                odd = g.zeros(1, "uint8")
                odd.set(0, 7)
                for place, when in enumerate((
                        pto2.when(half, 0, ">", 0.25), pto2.when(half, 0, ">", 0.5),
                        pto2.when(yes, 0, "==", 1),
                        pto2.when(odd.view("bool"), 0, "==", 1))):
                    g.submit("invert", inout(flags[place:place + 1]), when=when)
                return [flags.get(i) for i in range(4)]
            self.assertEqual([True, False, True, True], s.run(program))

    @needs_numpy
    def test_bool_is_numpys(self):
        with self.session(self.image) as s:
            def program(g):
                x = g.tensor(np.array([[True, False], [False, False]]))
                g.submit("invert", inout(x))
                return x
            found = np.asarray(s.run(program))
        self.assertEqual(np.dtype(bool), found.dtype)
        self.assertEqual([[False, True], [True, True]], found.tolist())

    @needs_numpy
    def test_8_bit_floats_are_bytes_or_ml_dtypes(self):
        with self.session(self.image) as s:
            x, y = s.run(lambda g: [g.tensor(np.arange(4, dtype=np.uint8)).view(name)
                                    for name in ("float8_e5m2", "float8_e4m3fn")])
        for array in x, y:
            self.assertEqual(np.dtype(np.uint8), np.asarray(array).dtype)
        try:
            import ml_dtypes
        except ImportError:
            return
        self.assertEqual(np.dtype(ml_dtypes.float8_e5m2), x.numpy().dtype)
        self.assertEqual("float8_e4m3fn", pto2.dtype(ml_dtypes.float8_e4m3fn).name)


if __name__ == "__main__":
    unittest.main()
