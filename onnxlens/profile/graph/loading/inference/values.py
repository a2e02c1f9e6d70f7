"""Constant folding: the values of shapes, axes and counts that a node computes from what is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from math import prod

import numpy as np
from onnx import helper

from onnxlens.profile.graph.loading.inference.facts import Fact, at
from onnxlens.profile.graph.loading.protobuf import MAX_CONSTANT_ELEMENTS, RANDOM_OPERATORS, FileNode

NOT_FOLDED = RANDOM_OPERATORS | {"Constant"}

COSTLY = frozenset(
    {"AveragePool", "Col2Im", "Conv", "ConvInteger", "ConvTranspose", "DeformConv", "DFT", "Einsum", "GRU",
     "GridSample", "ImageDecoder", "LRN", "LSTM", "LpPool", "MaxPool", "MaxRoiPool", "MaxUnpool",
     "MelWeightMatrix", "NonMaxSuppression", "QLinearConv", "RNN", "Resize", "RoiAlign", "STFT",
     "TfIdfVectorizer", "Upsample"}
)  # fmt: skip
"""Operators whose work is not bounded by the sizes of what they read and make: no shape comes out of them."""

AS_MANY_AS_READ = frozenset({"Compress", "NonZero", "Split", "Unique"})
"""Operators whose results are about as large as what they read, also where nobody knows how large."""

NUMBERS = "biufcV"
"""The kinds of arrays that are folded; V are the types that ``ml_dtypes`` adds."""

Values = Sequence[np.ndarray | None]


def shape_value(node: FileNode, inputs: Sequence[Fact | None]) -> np.ndarray | None:
    """What Shape or Size makes of a shape that is known, at least where it is asked for."""
    source = at(inputs, 0)
    if source is None or source.type.shape is None or source.type.kind != "tensor":
        return None
    shape = source.type.shape
    if node.op_type == "Size":
        return None if source.type.elements is None else np.array(source.type.elements, np.int64)
    taken = shape[slice(node.attributes.get("start", 0), node.attributes.get("end"))]
    return None if any(isinstance(dim, str) for dim in taken) else np.array(taken, np.int64)


def computed(node: FileNode, inputs: Sequence[Fact | None], opsets: Mapping[str, int]) -> Values | None:
    """The values of a node's outputs where those of all its inputs are known; None where they are not.

    Only for nodes whose outputs are small: what they make is held in memory.
    """
    if node.domain or node.op_type in NOT_FOLDED or not node.inputs or node.subgraphs:
        return None
    values = [None if fact is None else fact.value for fact in inputs]
    if any(fact is not None and value is None for fact, value in zip(inputs, values, strict=True)):
        return None
    if any(value is not None and value.dtype.kind not in NUMBERS for value in values):
        return None  # texts, which grow when they are joined
    fast = FAST.get(node.op_type) or OTHERS.get(node.op_type)
    try:
        made = [fast(node, values)] if fast is not None else _by_reference(node, values, opsets)
    except Exception:  # whatever numpy or the reference raises at a form that it does not know
        return None
    return [value if value is None or value.size <= MAX_CONSTANT_ELEMENTS else None for value in made]


def is_small(node: FileNode, inputs: Sequence[Fact | None]) -> bool:
    """Whether numpy computes it from what it moves or broadcasts, without making much more of it."""
    if node.op_type not in FAST:
        return False
    sizes = [fact.value.size for fact in inputs if fact is not None and fact.value is not None]
    return prod(sizes) <= MAX_CONSTANT_ELEMENTS


def _by_reference(node: FileNode, values: Values, opsets: Mapping[str, int]) -> Values:
    from onnx.reference import ReferenceEvaluator  # as slow to import as all of onnx

    if node.op_type in COSTLY or (node.op_type == "Pad" and _is_wide(values)):
        raise ValueError("its work is not bounded by what it reads and makes")
    given = {name: value for name, value in zip(node.inputs, values, strict=True) if name}
    opsets = {**opsets, "": node.version or opsets.get("", 1)}
    made = ReferenceEvaluator(node.proto, opsets=opsets).run(None, given)
    return [value if isinstance(value, np.ndarray) else None for value in made]


def _is_wide(values: Values) -> bool:
    """Whether pads are large: those of an axis may cancel out."""
    pads = values[1] if len(values) > 1 else None
    return pads is None or bool((np.abs(pads) > MAX_CONSTANT_ELEMENTS).any())


def _axes(node: FileNode, values: Values) -> tuple[int, ...] | None:
    """Of Squeeze and Unsqueeze: an input, in old opsets an attribute."""
    if len(values) > 1 and values[1] is not None:
        return tuple(map(int, values[1].reshape(-1)))
    axes = node.attributes.get("axes")
    return None if axes is None else tuple(axes)


def _unsqueeze(node: FileNode, values: Values) -> np.ndarray:
    return np.expand_dims(_first(values), _axes(node, values) or ())


def _slice(node: FileNode, values: Values) -> np.ndarray:
    """From inputs (data, starts, ends, axes, steps), or from attributes in old opsets."""
    data = _first(values)
    parts = [list(map(int, value.reshape(-1))) if value is not None else None for value in values[1:]]
    if not parts:
        parts = [node.attributes[name] for name in ("starts", "ends")] + [node.attributes.get("axes")]
    starts, ends, axes, steps = [*parts, None, None][:4]
    cut = [slice(None)] * data.ndim
    for index, (start, end) in enumerate(zip(starts or (), ends or (), strict=True)):
        step = steps[index] if steps else 1
        stop = None if step < 0 and end < -data.shape[axes[index] if axes else index] else end
        cut[axes[index] if axes else index] = slice(start, stop, step)
    return np.asarray(data[tuple(cut)])


def _reshape(node: FileNode, values: Values) -> np.ndarray:
    data, shape = _both(values)
    target = list(map(int, shape))
    if not node.attributes.get("allowzero", 0):
        target = [data.shape[axis] if size == 0 else size for axis, size in enumerate(target)]
    return np.asarray(data.reshape(target))


def _divide(node: FileNode, values: Values) -> np.ndarray:
    """Integers towards zero, as C does."""
    first, second = _both(values)
    if first.dtype.kind == "f":
        return np.asarray(first / second, first.dtype)
    quotient = np.abs(first) // np.abs(second)
    return np.asarray(quotient * np.sign(first) * np.sign(second), first.dtype)


def _cast(node: FileNode, values: Values) -> np.ndarray:
    return np.asarray(_first(values).astype(helper.tensor_dtype_to_np_dtype(node.attributes["to"])))


def _gather(node: FileNode, values: Values) -> np.ndarray:
    data, indices = _both(values)
    return np.asarray(np.take(data, indices, axis=node.attributes.get("axis", 0)))


def _concat(node: FileNode, values: Values) -> np.ndarray:
    return np.concatenate([_array(value) for value in values], axis=node.attributes["axis"])


def _range(node: FileNode, values: Values) -> np.ndarray:
    start, limit, delta = (_array(value).reshape(-1)[0] for value in values)
    if abs(float(limit) - float(start)) > MAX_CONSTANT_ELEMENTS * abs(float(delta)):
        raise ValueError("too many numbers to be held")
    return np.arange(start, limit, delta, dtype=start.dtype)


def _filled(node: FileNode, values: Values) -> np.ndarray:
    number = node.attributes.get("value", np.zeros(1, np.float32))
    return np.full(_held_shape(_first(values)), number.reshape(()))


def _expanded(node: FileNode, values: Values) -> np.ndarray:
    data, shape = _both(values)
    return np.asarray(data * np.ones(_held_shape(shape), data.dtype))


def _held_shape(sizes: np.ndarray) -> tuple[int, ...]:
    shape = tuple(map(int, sizes))
    if prod(shape) > MAX_CONSTANT_ELEMENTS:
        raise ValueError("too many numbers to be held")
    return shape


def _array(value: np.ndarray | None) -> np.ndarray:
    if value is None:
        raise ValueError("an input that the operator needs is left out")
    return value


def _first(values: Values) -> np.ndarray:
    return _array(values[0])


def _both(values: Values) -> tuple[np.ndarray, np.ndarray]:
    first, second = values
    return _array(first), _array(second)


def _broadcast(compute: Callable[..., np.ndarray]) -> Callable[[FileNode, Values], np.ndarray]:
    def fold(node: FileNode, values: Values) -> np.ndarray:
        if "broadcast" in node.attributes:  # of opsets below 7: axes are matched from the left
            raise ValueError("an old form of broadcasting")
        return np.asarray(compute(*map(_array, values)))

    return fold


FAST: Mapping[str, Callable[[FileNode, Values], np.ndarray]] = {
    "Identity": lambda node, values: _first(values),
    "Cast": _cast,
    "Gather": _gather,
    "Concat": _concat,
    "Unsqueeze": _unsqueeze,
    "Squeeze": lambda node, values: np.squeeze(_first(values), _axes(node, values)),
    "Slice": _slice,
    "Reshape": _reshape,
    "Range": _range,
    "Div": _divide,
    "Add": _broadcast(np.add),
    "Sub": _broadcast(np.subtract),
    "Mul": _broadcast(np.multiply),
    "Equal": _broadcast(np.equal),
    "Less": _broadcast(np.less),
    "Greater": _broadcast(np.greater),
    "And": _broadcast(np.logical_and),
    "Or": _broadcast(np.logical_or),
    "Not": _broadcast(np.logical_not),
    "Where": _broadcast(np.where),
    "Neg": _broadcast(np.negative),
    "Floor": _broadcast(np.floor),
    "Ceil": _broadcast(np.ceil),
    "Sqrt": _broadcast(np.sqrt),
}
"""What shapes are computed with, in numpy: the reference evaluator takes a hundred times as long."""

OTHERS: Mapping[str, Callable[[FileNode, Values], np.ndarray]] = {
    "ConstantOfShape": _filled,
    "Expand": _expanded,
    "Transpose": lambda node, values: np.transpose(_first(values), node.attributes.get("perm") or None),
    "Min": lambda node, values: np.asarray(reduce(np.minimum, map(_array, values))),
    "Max": lambda node, values: np.asarray(reduce(np.maximum, map(_array, values))),
    "GreaterOrEqual": _broadcast(np.greater_equal),
    "LessOrEqual": _broadcast(np.less_equal),
    "Abs": _broadcast(np.abs),
    "Log": _broadcast(np.log),
}
"""What masks and positions are made with: to import the reference evaluator takes as long as a small file."""
