"""Small tensors of integers that are computed from dimensions: shapes, lengths, ends of slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from onnxlens.profile.graph.loading.dimensions.operation import Operation, Vector, product, total
from onnxlens.profile.graph.loading.dimensions.polynomials import Size, quotient

MOST_ELEMENTS = 64
"""What is larger is no shape."""

Join = Callable[[Size, Size], Size | None]


def _kept(op: Operation) -> Vector | None:
    return op.vector(0)


def _shape(op: Operation) -> Vector | None:
    source = op.shape(0)
    return None if source is None else source[op.attribute("start", 0) : op.attribute("end")]


def _size(op: Operation) -> Vector | None:
    source = op.shape(0)
    return None if source is None else (product(source),)


def _gathered(op: Operation) -> Vector | None:
    table, indices = op.vector(0), op.vector(1)
    if table is None or indices is None or op.attribute("axis", 0) not in (0, -1):
        return None
    span = range(-len(table), len(table))
    return tuple(table[index] if isinstance(index, int) and index in span else None for index in indices)


def _joined(op: Operation) -> Vector | None:
    """Concat; of a part that is not known, as many unknown numbers as it has."""
    parts: list[Size | None] = []
    for index in range(len(op.node.inputs)):
        part, (length,) = op.vector(index), op.shape(index, 1) or (None,)
        if part is not None:
            parts += part
        elif isinstance(length, int):
            parts += [None] * length
        else:
            return None
    return tuple(parts)


def _sliced(op: Operation) -> Vector | None:
    source = op.vector(0)
    held = [op.attribute(name) for name in ("starts", "ends")]
    starts, ends = held if held[0] is not None else [op.vector(index) for index in (1, 2)]
    if source is None or not starts or not ends or (op.has(4) and op.vector(4) != (1,)):
        return None
    (start, *_), (end, *_) = starts, ends
    return source[start:end] if isinstance(start, int) and isinstance(end, int) else None


def _reduced(join: Callable[[Vector], Size | None]) -> Callable[[Operation], Vector | None]:
    def rule(op: Operation) -> Vector | None:
        source = op.vector(0)
        return None if source is None else (join(source),)

    return rule


def _pairwise(join: Join) -> Callable[[Operation], Vector | None]:
    def rule(op: Operation) -> Vector | None:
        first, second = op.vector(0), op.vector(1)
        if (
            first is None
            or second is None
            or not (len(first) == len(second) or 1 in (len(first), len(second)))
        ):
            return None
        length = max(len(first), len(second))
        pairs = zip(first * (length // len(first)), second * (length // len(second)), strict=True)
        return tuple(None if one is None or other is None else join(one, other) for one, other in pairs)

    return rule


def _filled(op: Operation) -> Vector | None:
    """ConstantOfShape, of as many numbers as its input says."""
    length, held = op.vector(0), op.attribute("value")
    if length is None or len(length) != 1 or not isinstance(length[0], int) or length[0] > MOST_ELEMENTS:
        return None
    if held is not None and held.dtype.kind != "i":
        return None
    return (0 if held is None else int(held.ravel()[0]),) * length[0]


def _is_equal(one: Size, other: Size) -> int | None:
    """1 or 0; no size is below 0, whatever its names stand for."""
    if isinstance(one, int) and isinstance(other, int):
        return int(one == other)
    negative = (isinstance(one, int) and one < 0) or (isinstance(other, int) and other < 0)
    return 0 if negative else 1 if one == other else None


def _chosen(op: Operation) -> Vector | None:
    """Where."""
    which, first, second = (op.vector(index) for index in range(3))
    if which is None or first is None or second is None or not len(which) == len(first) == len(second):
        return None
    chosen = zip(which, first, second, strict=True)
    return tuple(None if flag is None else one if flag else other for flag, one, other in chosen)


VECTORS: Mapping[str, Callable[[Operation], Vector | None]] = {
    **dict.fromkeys(("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"), _kept),
    "Shape": _shape,
    "Size": _size,
    "Gather": _gathered,
    "Concat": _joined,
    "Slice": _sliced,
    "ReduceProd": _reduced(product),
    "ReduceSum": _reduced(total),
    "Add": _pairwise(lambda one, other: one + other),
    "Sub": _pairwise(lambda one, other: one - other),
    "Mul": _pairwise(lambda one, other: one * other),
    "Div": _pairwise(quotient),
    "ConstantOfShape": _filled,
    "Equal": _pairwise(_is_equal),
    "Where": _chosen,
}
"""By operator of ONNX's own; anything else makes no such tensor."""
