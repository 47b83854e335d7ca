"""Vectors of whole numbers inside kernels: what a search through the ways of a set does for all of them at once.

Numba knows no vectors, and LLVM makes none of a loop over the ways: it does not know how many they are, and what one of
them stores may be what the next one loads. These are LLVM's own vector instructions, which it fits to whatever the
processor has. Each is an operation of kernels; nothing of it can be called from Python.
"""

# ruff: noqa: ANN401, ARG001 - the code generators of Numba and llvmlite, which have no types

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import extending
from numba.core import cgutils, types
from numba.extending import models, register_model

if TYPE_CHECKING:
    from collections.abc import Callable

Vector = Any
"""A vector in a kernel."""

struct_of: Any = cgutils.create_struct_proxy


def intrinsic(generator: Callable[..., Any]) -> Any:
    """Numba's decorator of functions that tell the signature of an operation and write its LLVM code."""
    return extending.intrinsic(generator)


WIDTH = 16
"""Lanes of a wide vector."""

HALF = 8
"""Lanes of a narrow vector."""


class Lanes(types.Type):
    """Numba's type of a vector.

    Parameters
    ----------
    element
        Type of a lane, a whole number or a truth value.
    count
        Lanes.
    """

    def __init__(self, element: Any, count: int) -> None:
        self.element = element
        self.count = count
        super().__init__(name=f"Lanes({element} x {count})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes) -> None:
        bits = 1 if isinstance(kind.element, types.Boolean) else kind.element.bitwidth
        super().__init__(manager, kind, ir.VectorType(ir.IntType(bits), kind.count))  # type: ignore[no-untyped-call]


def _place(context: Any, builder: Any, signature: Any, args: Any, kind: Any) -> Any:
    array = struct_of(signature.args[0])(context, builder, value=args[0])
    first = builder.gep(array.data, [args[1]])
    return builder.bitcast(first, ir.VectorType(first.type.pointee, kind.count).as_pointer())


def _loader(count: int) -> Any:
    @intrinsic
    def load(typing_context: Any, array: Any, place: Any) -> Any:
        kind = Lanes(array.dtype, count)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.load(_place(context, builder, signature, args, kind), align=array.dtype.bitwidth // 8)

        return kind(array, types.intp), generate

    return load


load_wide = _loader(WIDTH)
load_narrow = _loader(HALF)


@intrinsic
def store(typing_context: Any, array: Any, place: Any, vector: Any) -> Any:
    """Store a vector into an array from a place on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _place(context, builder, signature, args, vector), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


def _spread(builder: Any, value: Any, kind: Any) -> Any:
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)


@intrinsic
def spread(typing_context: Any, like: Any, value: Any) -> Any:
    """A number in every lane of a vector like another."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(like)
        number = args[1]
        if kind.element.width < number.type.width:
            number = builder.trunc(number, kind.element)
        return _spread(builder, number, kind)

    return like(like, types.int64), generate


@intrinsic
def counted(typing_context: Any, like: Any, step: Any) -> Any:
    """The number of each lane times a literal step, in a vector like another."""
    if not isinstance(step, types.IntegerLiteral):
        return None

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(like)
        return ir.Constant(kind, [lane * step.literal_value for lane in range(kind.count)])

    return like(like, step), generate


def _binary(name: str) -> Any:
    @intrinsic
    def operation(typing_context: Any, one: Any, other: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, name)(*args)

        return one(one, one), generate

    return operation


add = _binary("add")
both = _binary("and_")
either = _binary("or_")


def _compared(relation: str) -> Any:
    @intrinsic
    def operation(typing_context: Any, one: Any, other: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.icmp_signed(relation, *args)

        return Lanes(types.boolean, one.count)(one, one), generate

    return operation


equal = _compared("==")
at_most = _compared("<=")


@intrinsic
def without(typing_context: Any, one: Any, other: Any) -> Any:
    """Lanes of one mask that are not in another."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.and_(args[0], builder.not_(args[1]))

    return one(one, one), generate


@intrinsic
def pick(typing_context: Any, mask: Any, one: Any, other: Any) -> Any:
    """One vector where a mask holds, another elsewhere."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return one(mask, one, one), generate


@intrinsic
def bits(typing_context: Any, mask: Any) -> Any:
    """A mask as a number, lane 0 its lowest bit."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(builder.bitcast(args[0], ir.IntType(mask.count)), ir.IntType(64))

    return types.int64(mask), generate


@intrinsic
def mask_of(typing_context: Any, like: Any, number: Any) -> Any:
    """The mask for vectors like another whose bits are those of a number."""
    kind = Lanes(types.boolean, like.count)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(builder.trunc(args[1], ir.IntType(like.count)), context.get_value_type(kind))

    return kind(like, types.int64), generate


@intrinsic
def shifted(typing_context: Any, vector: Any, head: Any) -> Any:
    """Each lane one further, the last one lost, a number in the first."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = args[0].type
        number = args[1]
        if kind.element.width < number.type.width:
            number = builder.trunc(number, kind.element)
        moved = [kind.count, *range(kind.count - 1)]
        order = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), moved)
        return builder.shuffle_vector(args[0], _spread(builder, number, kind), order)

    return vector(vector, types.int64), generate


@intrinsic
def lowest(typing_context: Any, number: Any) -> Any:
    """Place of the lowest bit of a number that is set; it may not be 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate


@intrinsic
def ones(typing_context: Any, number: Any) -> Any:
    """Bits of a number that are set."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.int64), generate
