"""Loops over arrays whose body is an expression on vectors, as functions that Numba-compiled code can call.

Arrays are addresses (64-bit integers) of contiguous numbers. The loop takes as many whole vectors as there
are, and the rest number by number by the same expression. An output may be an input.
"""

from __future__ import annotations

import llvmlite.ir as ir
from numba import int64, njit, types
from numba.core.compiler import Compiler
from numba.extending import intrinsic

from npvae.kernels.cpu import vector
from npvae.kernels.cpu.vector import I64, Vector, integer


class Range:
    """``for index in range(start, stop, step)`` in LLVM, with values that are carried from turn to turn."""

    def __init__(self, builder, start, stop, step: int, carried=()) -> None:
        self.builder, self.step = builder, step
        entry = builder.basic_block
        self.head = builder.append_basic_block("head")
        body = builder.append_basic_block("body")
        self.end = builder.append_basic_block("end")
        builder.branch(self.head)
        builder.position_at_end(self.head)
        self.index = builder.phi(I64)
        self.index.add_incoming(start, entry)
        self.carried = []
        for value in carried:
            phi = builder.phi(value.type)
            phi.add_incoming(value, entry)
            self.carried.append(phi)
        room = builder.icmp_signed("<=", builder.add(self.index, integer(step)), stop)
        builder.cbranch(room, body, self.end)
        builder.position_at_end(body)

    def close(self, carried=()) -> None:
        """End the body: the next turn sees ``carried``. Afterwards ``index`` and ``carried`` are the last values."""
        builder = self.builder
        self.index.add_incoming(builder.add(self.index, integer(self.step)), builder.basic_block)
        for phi, value in zip(self.carried, carried, strict=True):
            phi.add_incoming(value, builder.basic_block)
        builder.branch(self.head)
        builder.position_at_end(self.end)


def loop(target, inputs: int, outputs: int, scalars: int, body, sums: bool = False, unroll: int = 1):
    """A Numba-callable ``f(n, *input_addresses, *output_addresses, *scalars)``.

    ``body(inputs, scalars)`` gets vectors and returns a list of the outputs' vectors; with ``sums`` one more,
    whose sum over all n elements f returns. ``unroll`` keeps so many partial sums, where one would wait for itself.
    """
    dtype = target.dtype
    scalar_type = getattr(types, dtype)
    signature = (scalar_type if sums else types.void)(int64, *[int64] * (inputs + outputs), *[scalar_type] * scalars)

    def codegen(context, builder, _, arguments):
        n, addresses, numbers = arguments[0], arguments[1 : 1 + inputs + outputs], arguments[1 + inputs + outputs :]
        places = [vector.pointer(builder, dtype, address) for address in addresses]

        def turn(index, lanes: int):
            """One vector of every output; what is to be summed, or None."""
            at = [builder.gep(place, [index]) for place in places]
            results = body(
                [vector.load(builder, dtype, lanes, place) for place in at[:inputs]],
                [vector.broadcast(builder, dtype, lanes, number) for number in numbers],
            )
            for result, place in zip(results, at[inputs:], strict=False):
                vector.store(result, place)
            return results[outputs] if sums else None

        lanes = target.lanes
        start = integer(0)
        zero = vector.constant(dtype, lanes, 0.0)
        partial = [zero] * (unroll if sums else 0)
        for width in sorted({unroll, 1}, reverse=True):
            turns = Range(builder, start, n, width * lanes, partial)
            carried = list(turns.carried)
            for i in range(width):
                value = turn(builder.add(turns.index, integer(i * lanes)), lanes)
                if sums:
                    carried[i] = builder.fadd(carried[i], value.value)
            turns.close(carried)
            start, partial = turns.index, turns.carried
        total = None
        if sums:
            vectors = [Vector(builder, dtype, lanes, value) for value in partial]
            while len(vectors) > 1:
                vectors = [a + b for a, b in zip(vectors[::2], vectors[1::2], strict=True)]
            total = vectors[0].sum_lanes().value
        rest = Range(builder, start, n, 1, [total] if sums else [])
        value = turn(rest.index, 1)
        rest.close([builder.fadd(rest.carried[0], value.value)] if sums else [])
        return rest.carried[0] if sums else context.get_dummy_value()

    return make_intrinsic(signature, codegen)


def panel_loop(target, body):
    """A Numba-callable ``f(rows, a, a_stride, b, b_stride)``: a = body(a, b) on rows of ``target.panel`` numbers.

    Strides are in numbers; a stride of 0 gives every row of a the same row of b.
    """
    dtype, lanes = target.dtype, target.lanes

    def codegen(context, builder, _, arguments):
        rows, a, a_stride, b, b_stride = arguments
        turns = Range(builder, integer(0), rows, 1, [vector.pointer(builder, dtype, each) for each in (a, b)])
        for v in range(target.tile_vectors):
            here = [builder.gep(place, [integer(v * lanes)]) for place in turns.carried]
            (result,) = body([vector.load(builder, dtype, lanes, place) for place in here], [])
            vector.store(result, here[0])
        turns.close([builder.gep(turns.carried[0], [a_stride]), builder.gep(turns.carried[1], [b_stride])])
        return context.get_dummy_value()

    return make_intrinsic(types.void(*[int64] * 5), codegen)


def make_intrinsic(signature, codegen):
    """A Numba-callable function with one signature and an LLVM body."""
    names = ", ".join(f"a{i}" for i in range(len(signature.args)))
    # Numba reads the number of arguments off the Python function, so there must be one with as many.
    scope = {"signature": signature, "codegen": codegen}
    exec(f"def function(context, {names}):\n    return signature, codegen", scope)
    return intrinsic(scope["function"])


def make_access(target):
    """``get(address, index)`` and ``put(address, index, number)`` for single numbers."""
    number = getattr(types, target.dtype)

    def get(context, builder, _, arguments):
        return builder.load(builder.gep(vector.pointer(builder, target.dtype, arguments[0]), [arguments[1]]))

    def put(context, builder, _, arguments):
        builder.store(arguments[2], builder.gep(vector.pointer(builder, target.dtype, arguments[0]), [arguments[1]]))
        return context.get_dummy_value()

    return (make_intrinsic(number(int64, int64), get), make_intrinsic(types.void(int64, int64, number), put))


def make_integer_access():
    """``get_integer(address, index)`` and ``put_integer(address, index, number)`` for 64-bit integers."""

    def place(builder, arguments):
        return builder.gep(builder.inttoptr(arguments[0], ir.IntType(64).as_pointer()), [arguments[1]])

    def get(context, builder, _, arguments):
        return builder.load(place(builder, arguments))

    def put(context, builder, _, arguments):
        builder.store(arguments[2], place(builder, arguments))
        return context.get_dummy_value()

    return (make_intrinsic(int64(int64, int64), get), make_intrinsic(types.void(int64, int64, int64), put))


def compiled(*arguments, result=types.void):
    """The decorator of every compiled function: fixed types, so that it is compiled once; a number n among the
    arguments stands for n integers. No function raises: the program has no Python to raise into.
    """
    kinds = []
    for argument in arguments:
        kinds += [int64] * argument if isinstance(argument, int) else [argument]
    return njit(
        result(*kinds),
        nogil=True,
        error_model="numpy",
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        pipeline_class=Part,
    )


class Part(Compiler):
    """Numba's compiler, without machine code: that is made once, for the whole program that the parts end up in."""

    def define_pipelines(self):
        self.state.flags.no_compile = True
        return super().define_pipelines()

    def compile_extra(self, function):
        result = super().compile_extra(function)
        # Callers find a part by the function that Python would call: here a stand-in, which nobody calls.
        stand_in = [].append
        self.state.targetctx.insert_user_function(stand_in, result.fndesc, [result.library])
        return result._replace(entry_point=stand_in)
