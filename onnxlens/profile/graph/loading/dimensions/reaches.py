"""How far tensors of indices count: what they are looked up in is at least that long."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from onnxlens.profile.graph.loading.dimensions.operation import Operation, Vector

Reach = Vector
"""For each column of indices the least size that holds all of them; None where that is not known."""

LOOKED_UP = "it is read as far"


def _counted(op: Operation) -> Reach | None:
    """Range, from 0 or more in steps of 1."""
    ends = [(op.vector(index) or (None,))[0] for index in range(3)]
    return (ends[1],) if isinstance(ends[0], int) and ends[0] >= 0 and ends[2] == 1 else None


def _kept(op: Operation) -> Reach | None:
    return op.reach(0)


def _moved(op: Operation) -> Reach | None:
    """Add, of one number."""
    for first, second in ((0, 1), (1, 0)):
        reach, number = op.reach(first), op.vector(second)
        if reach is not None and number is not None and len(number) == 1 and number[0] is not None:
            return tuple(None if size is None else size + number[0] for size in reach)
    return None


def _joined(op: Operation) -> Reach | None:
    """Concat of columns."""
    shape = op.shape(0)
    if shape is None or op.axis(len(shape)) != len(shape) - 1:
        return None
    reaches = [op.reach(index) for index in range(len(op.node.inputs))]
    return tuple(size for reach in reaches for size in reach or (None,))


def _gathered(op: Operation) -> Reach | None:
    table, reach = op.shape(0), op.reach(1)
    if table is not None and reach is not None and len(reach) == 1:
        op.at_least(table[op.axis(len(table))], reach[0], LOOKED_UP)
    return None


def _gathered_by_columns(op: Operation) -> Reach | None:
    """GatherND: a column for each of the first axes."""
    table, reach = op.shape(0), op.reach(1)
    if table is not None and reach is not None and not op.attribute("batch_dims", 0):
        for size, least in zip(table, reach, strict=False):
            op.at_least(size, least, LOOKED_UP)
    return None


REACHES: Mapping[str, Callable[[Operation], Reach | None]] = {
    **dict.fromkeys(("Cast", "Expand", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"), _kept),
    "Range": _counted,
    "Add": _moved,
    "Concat": _joined,
    "Gather": _gathered,
    "GatherND": _gathered_by_columns,
}
"""By operator of ONNX's own; of anything else nothing is known."""
