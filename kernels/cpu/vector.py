"""A small language for vectors: Python expressions on :class:`Vector` become LLVM instructions.

    def sigmoid(x):
        return 1.0 / (1.0 + exp(-x))

written on vectors and traced once, becomes straight-line vector code for whatever width and dtype x has,
also for a single number (one lane). Loops are vectorised because they are written so, and not when a
compiler can prove that it may. Products are joined with sums to fused multiply-adds where ``fma`` says so and
the machine has them; nothing else is reordered.
"""

from __future__ import annotations

import struct

import llvmlite.ir as ir
from numba.core import cgutils

I32, I64 = ir.IntType(32), ir.IntType(64)
FLOAT = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
#: LLVM's name of a dtype in the names of its functions.
SUFFIX = {"float32": "f32", "float64": "f64"}
#: The integer of the same size, the bits of its mantissa, and the bias of its exponent.
BITS = {"float32": (I32, 23, 127), "float64": (I64, 52, 1023)}


def integer(value: int) -> ir.Constant:
    """A 64-bit integer constant."""
    return ir.Constant(I64, value)


class Vector:
    """One or more floating-point lanes. ``lanes == 1`` is a plain number."""

    def __init__(self, builder, dtype: str, lanes: int, value) -> None:
        self.builder, self.dtype, self.lanes, self.value = builder, dtype, lanes, value

    # making vectors

    def _new(self, value) -> Vector:
        return Vector(self.builder, self.dtype, self.lanes, value)

    def like(self, number: float) -> Vector:
        """The number in every lane, rounded to the dtype."""
        return self._new(constant(self.dtype, self.lanes, number))

    def _value(self, other):
        return other.value if isinstance(other, Vector) else self.like(other).value

    def _integer_type(self):
        kind = BITS[self.dtype][0]
        return kind if self.lanes == 1 else ir.VectorType(kind, self.lanes)

    def _float_type(self):
        return vector_type(self.dtype, self.lanes)

    def _bits(self, number: int):
        kind = self._integer_type()
        return ir.Constant(kind, number if self.lanes == 1 else [number] * self.lanes)

    def _intrinsic(self, name: str, *values):
        width = SUFFIX[self.dtype] if self.lanes == 1 else f"v{self.lanes}{SUFFIX[self.dtype]}"
        kind = ir.FunctionType(self._float_type(), [self._float_type()] * len(values))
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}.{width}")
        return self.builder.call(function, values)

    # arithmetic

    def __add__(self, other):
        return self._new(self.builder.fadd(self.value, self._value(other)))

    __radd__ = __add__

    def __sub__(self, other):
        return self._new(self.builder.fsub(self.value, self._value(other)))

    def __rsub__(self, other):
        return self._new(self.builder.fsub(self._value(other), self.value))

    def __mul__(self, other):
        return self._new(self.builder.fmul(self.value, self._value(other)))

    __rmul__ = __mul__

    def __truediv__(self, other):
        return self._new(self.builder.fdiv(self.value, self._value(other)))

    def __rtruediv__(self, other):
        return self._new(self.builder.fdiv(self._value(other), self.value))

    def __neg__(self):
        return self._new(self.builder.fneg(self.value))

    def fma(self, factor, summand) -> Vector:
        """self * factor + summand, rounded once where the machine can."""
        return self._new(self._intrinsic("fmuladd", self.value, self._value(factor), self._value(summand)))

    def sqrt(self) -> Vector:
        """The square root, correctly rounded."""
        return self._new(self._intrinsic("sqrt", self.value))

    # choice

    def __abs__(self):
        return self._new(self._intrinsic("fabs", self.value))

    def greater(self, other):
        """A mask for :meth:`where`; false where either is NaN."""
        return self.builder.fcmp_ordered(">", self.value, self._value(other))

    def where(self, mask, other) -> Vector:
        """self where the mask is set, else ``other``."""
        return self._new(self.builder.select(mask, self.value, self._value(other)))

    def at_least(self, number) -> Vector:
        """max(self, number); NaN stays NaN."""
        low = self.builder.fcmp_ordered("<", self.value, self._value(number))
        return self._new(self.builder.select(low, self._value(number), self.value))

    def at_most(self, number) -> Vector:
        """min(self, number); NaN stays NaN."""
        high = self.builder.fcmp_ordered(">", self.value, self._value(number))
        return self._new(self.builder.select(high, self._value(number), self.value))

    def with_sign_of(self, other: Vector) -> Vector:
        """|self| with the sign bit of ``other``."""
        return self._new(self._intrinsic("copysign", self.value, other.value))

    # the binary format

    def round_to_integer(self):
        """``(n, bits)``: the nearest whole number for |self| < 2^21, and an integer vector whose value is n.

        Adding 1.5 2^m, m the bits of the mantissa, leaves no room for a fraction; n stands in the lowest bits.
        """
        kind, mantissa, bias = BITS[self.dtype]
        magic = 1.5 * 2.0**mantissa
        shifted = self + magic
        bits = self.builder.bitcast(shifted.value, self._integer_type())
        base = (bias + mantissa << mantissa) + (1 << mantissa - 1)
        return shifted - magic, self.builder.sub(bits, self._bits(base))

    def power_of_two(self, exponent) -> Vector:
        """2^exponent for an integer vector inside the range of normal numbers."""
        _, mantissa, bias = BITS[self.dtype]
        bits = self.builder.shl(self.builder.add(exponent, self._bits(bias)), self._bits(mantissa))
        return self._new(self.builder.bitcast(bits, self._float_type()))

    def halves(self, integers):
        """Two integer vectors that add up to ``integers``, each about half of it."""
        half = self.builder.ashr(integers, self._bits(1))
        return half, self.builder.sub(integers, half)

    def negated(self, integers):
        """The integer vector with its sign turned."""
        return self.builder.sub(self._bits(0), integers)

    def mantissa_and_exponent(self):
        """``(m, e)`` with self = m 2^e, m in [sqrt(1/2), sqrt(2)) and e a whole number; for normal numbers > 0."""
        _, mantissa, bias = BITS[self.dtype]
        # The bits of sqrt(1/2): subtracting them makes the exponent field count from there.
        start = _bits_of(self.dtype, 0.5**0.5)
        offset = self.builder.sub(self.builder.bitcast(self.value, self._integer_type()), self._bits(start))
        exponent = self.builder.ashr(offset, self._bits(mantissa))
        field = self.builder.shl(exponent, self._bits(mantissa))
        bits = self.builder.sub(self.builder.bitcast(self.value, self._integer_type()), field)
        return (
            self._new(self.builder.bitcast(bits, self._float_type())),
            self._new(self.builder.sitofp(exponent, self._float_type())),
        )

    # across lanes

    def sum_lanes(self) -> Vector:
        """The sum over lanes, a plain number: halves are added to halves."""
        value, lanes = self.value, self.lanes
        while lanes > 1:
            lanes //= 2
            low = self.builder.shuffle_vector(value, value, _mask(range(lanes)))
            high = self.builder.shuffle_vector(value, value, _mask(range(lanes, 2 * lanes)))
            value = self.builder.fadd(low, high)
            if lanes == 1:
                value = self.builder.extract_element(value, ir.Constant(I32, 0))
        return Vector(self.builder, self.dtype, 1, value)


def vector_type(dtype: str, lanes: int):
    """LLVM's type."""
    return FLOAT[dtype] if lanes == 1 else ir.VectorType(FLOAT[dtype], lanes)


def constant(dtype: str, lanes: int, number: float) -> ir.Constant:
    """The number in every lane, rounded to the dtype."""
    if dtype == "float32":
        number = struct.unpack("f", struct.pack("f", number))[0]
    return ir.Constant(vector_type(dtype, lanes), number if lanes == 1 else [number] * lanes)


def broadcast(builder, dtype: str, lanes: int, number) -> Vector:
    """A number of the running program in every lane."""
    if lanes > 1:
        undefined = ir.Constant(vector_type(dtype, lanes), ir.Undefined)
        number = builder.insert_element(undefined, number, ir.Constant(I32, 0))
        number = builder.shuffle_vector(number, undefined, _mask([0] * lanes))
    return Vector(builder, dtype, lanes, number)


def pointer(builder, dtype: str, address):
    """A pointer to numbers from an address, an integer."""
    return builder.inttoptr(address, FLOAT[dtype].as_pointer())


def load(builder, dtype: str, lanes: int, place) -> Vector:
    """The vector at a pointer to its first number, of any alignment."""
    if lanes > 1:
        place = builder.bitcast(place, vector_type(dtype, lanes).as_pointer())
    return Vector(builder, dtype, lanes, builder.load(place, align=4 if dtype == "float32" else 8))


def store(vector: Vector, place) -> None:
    """Write the vector at a pointer to its first number, of any alignment."""
    if vector.lanes > 1:
        place = vector.builder.bitcast(place, vector_type(vector.dtype, vector.lanes).as_pointer())
    vector.builder.store(vector.value, place, align=4 if vector.dtype == "float32" else 8)


def prefetch(builder, place) -> None:
    """Ask for the cache line at a pointer, to be written to soon."""
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte, I32, I32, I32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(
        function, [builder.bitcast(place, byte), ir.Constant(I32, 1), ir.Constant(I32, 3), ir.Constant(I32, 1)]
    )


def interleave(first: Vector, second: Vector, group: int) -> tuple[Vector, Vector]:
    """Swap the odd groups of ``group`` lanes of ``first`` with the even ones of ``second``: a transpose's stage."""
    lanes = first.lanes
    low = [i if not i // group % 2 else lanes + i - group for i in range(lanes)]
    high = [i + group if not i // group % 2 else lanes + i for i in range(lanes)]
    shuffle = first.builder.shuffle_vector
    swapped = [first._new(shuffle(first.value, second.value, _mask(mask))) for mask in (low, high)]
    return swapped[0], swapped[1]


def _mask(lanes) -> ir.Constant:
    lanes = list(lanes)
    return ir.Constant(ir.VectorType(I32, len(lanes)), lanes)


def _bits_of(dtype: str, number: float) -> int:
    if dtype == "float32":
        return struct.unpack("i", struct.pack("f", number))[0]
    return struct.unpack("q", struct.pack("d", number))[0]
