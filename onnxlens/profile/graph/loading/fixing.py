"""Fixing what is open in a graph's inputs, as the user says: dimensions, and values that decide shapes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import GraphProto, ModelProto, TensorShapeProto, TypeProto, ValueInfoProto, helper, numpy_helper

from onnxlens.errors import UsageError
from onnxlens.profile.graph.loading.expressions import ANONYMOUS, evaluated, names_in
from onnxlens.profile.graph.loading.protobuf import all_graphs
from onnxlens.profile.graph.loading.value_types import value_type
from onnxlens.specs.tensor import TensorSpec

Dimension = TensorShapeProto.Dimension


def fix_dimensions(
    path: Path, graph: GraphProto, shapes: Mapping[str, Sequence[int]], dims: Mapping[str, int]
) -> Sequence[str]:
    """Give inputs their sizes, in place, and drop what the file says of sizes that follow from them.

    A shape also says what the names in it stand for, in other inputs too.

    Args:
        path: of the file, for messages.
        graph: the model's.
        shapes: by input, all of its dimensions; one that is fixed in the file is changed.
        dims: by symbol.

    Returns:
        A note for each input whose fixed dimensions were changed.

    Raises:
        UsageError: no input or symbol has the name, or sizes contradict each other.
    """
    if not shapes and not dims:
        return ()
    inputs = _open_inputs(graph)
    _require_inputs(path, inputs, shapes)
    symbols = {dim.dim_param for value in inputs.values() for dim in _dimensions(value)} - {""}
    known = _Sizes(path)
    for symbol, size in dims.items():
        if symbol not in symbols.union(*map(names_in, symbols)):
            listed = ", ".join(sorted(symbols)) or "none: use --shape for those without a name"
            raise UsageError(f"{path.name} has no dimension {symbol!r}; its inputs' dimensions are {listed}")
        known.set(symbol, size, f"--dim {symbol}={size}")
    changed = [_fix_shape(path, inputs[name], sizes, known) for name, sizes in shapes.items()]
    for value in inputs.values():
        for dim in _dimensions(value):
            found = known.of(dim.dim_param)
            if found is not None:
                dim.dim_value = found
    known.require_consistent(symbols)
    _forget_symbols(graph, known, everything=any(changed))
    return [note for note in changed if note]


def with_changed_shapes(
    path: Path, shapes: Mapping[str, Sequence[int]], dims: Mapping[str, int]
) -> bytes | None:
    """The model in the file with other sizes for inputs that it fixes, and none that follow from those.

    None where it fixes none of the inputs otherwise: it takes these sizes as it is.
    """
    model = ModelProto()
    model.ParseFromString(path.read_bytes())
    if not any(fix_dimensions(path, model.graph, shapes, dims)):
        return None
    for function in model.functions:
        del function.value_info[:]
    return model.SerializeToString()


class _Sizes:
    """What names of dimensions stand for, and who said so."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sizes: dict[str, int] = {}
        self._sources: dict[str, str] = {}

    def set(self, symbol: str, size: int, source: str) -> None:
        """Raises UsageError where the symbol stands for something else already."""
        if size < 0:
            raise UsageError(f"{self._path.name}: a dimension of {size} is no size")
        if not symbol or symbol in ANONYMOUS:
            return
        if self._sizes.setdefault(symbol, size) != size:
            raise UsageError(
                f"{self._path.name}: dimension {symbol!r} is {self._sizes[symbol]} by "
                f"{self._sources[symbol]} and {size} by {source}; give it one size"
            )
        self._sources.setdefault(symbol, source)

    def of(self, symbol: str) -> int | None:
        """Its size, given or computed from others."""
        if not symbol or symbol in ANONYMOUS:
            return None
        return self._sizes[symbol] if symbol in self._sizes else evaluated(symbol, self._sizes)

    def require_consistent(self, symbols: Iterable[str]) -> None:
        """Raises UsageError where a size was given for what others make another one."""
        for symbol in symbols:
            computed = evaluated(symbol, self._sizes)
            if computed is not None:
                self.set(symbol, computed, " and ".join(sorted(self._sources[n] for n in names_in(symbol))))


def fix_values(
    path: Path, graph: GraphProto, values: Mapping[str, Sequence[float]]
) -> Mapping[str, np.ndarray]:
    """Turn inputs into constants, in place: axes, sizes, a condition. What they became, by name.

    Raises:
        UsageError: no input has the name, it is no tensor of numbers, or not of that many.
    """
    inputs = _open_inputs(graph)
    _require_inputs(path, inputs, values)
    given = {name: _array(path, inputs[name], numbers) for name, numbers in values.items()}
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in given.items())
    return given


def _array(path: Path, value: ValueInfoProto, numbers: Sequence[float]) -> np.ndarray:
    """The numbers as the input takes them."""
    known = value_type(value.type)
    dims = (len(numbers),) if known.shape is None else known.shape
    sizes = [dim if isinstance(dim, int) else -1 for dim in dims]
    try:
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        return np.array(numbers).astype(dtype).reshape(sizes)
    except (KeyError, TypeError, ValueError) as error:
        kind = f"{known.dtype or known.kind}{TensorSpec(value.name, '', dims).shape_text()}"
        raise UsageError(
            f"{path.name}: input {value.name!r} is {kind} and cannot be {', '.join(map(str, numbers))}"
        ) from error


def _open_inputs(graph: GraphProto) -> Mapping[str, ValueInfoProto]:
    """The inputs that have no default value."""
    held = {tensor.name for tensor in graph.initializer}
    return {value.name: value for value in graph.input if value.name not in held}


def _require_inputs(path: Path, inputs: Collection[str], names: Iterable[str]) -> None:
    for name in names:
        if name not in inputs:
            raise UsageError(f"{path.name} has no input {name!r}; its inputs are {', '.join(inputs)}")


def _tensor(value: ValueInfoProto) -> TypeProto.Tensor:
    """Its type; of a sequence or an optional, that of the tensors in it."""
    kind = value.type
    while kind.WhichOneof("value") in ("sequence_type", "optional_type"):
        kind = getattr(kind, kind.WhichOneof("value")).elem_type
    return kind.tensor_type


def _dimensions(value: ValueInfoProto) -> Sequence[Dimension]:
    return _tensor(value).shape.dim


def _fix_shape(path: Path, value: ValueInfoProto, sizes: Sequence[int], known: _Sizes) -> str:
    """A note where dimensions were changed that the file fixes, else nothing."""
    tensor = _tensor(value)
    if not tensor.HasField("shape"):
        tensor.shape.dim.extend(Dimension() for _ in sizes)
    if len(tensor.shape.dim) != len(sizes):
        raise UsageError(
            f"{path.name}: input {value.name!r} has {len(tensor.shape.dim)} dimensions, "
            f"its shape was given with {len(sizes)}: {', '.join(map(str, sizes))}"
        )
    before = TensorSpec(value.name, "", value_type(value.type).shape or ()).shape_text()
    changed = False
    for dim, size in zip(tensor.shape.dim, sizes, strict=True):
        known.set(dim.dim_param, size, f"the shape of {value.name!r}")
        changed |= dim.HasField("dim_value") and dim.dim_value >= 0 and dim.dim_value != size
        dim.dim_value = size
    if not changed:
        return ""
    now = TensorSpec(value.name, "", tuple(sizes)).shape_text()
    return f"input {value.name} is {before} in the file and was changed to {now}: shapes were inferred anew"


def _forget_symbols(graph: GraphProto, known: _Sizes, *, everything: bool) -> None:
    """Drop the types in between that hold a symbol, and the symbols of outputs: inference finds them anew.

    A cache that is returned keeps what its own symbols are known to be: they say whether it grows.
    """
    caches = set(_returned_caches(graph))
    for _, inner in all_graphs(graph):
        kept = [] if everything else [value for value in inner.value_info if not any(_symbolic(value))]
        del inner.value_info[:]
        inner.value_info.extend(kept)
        for output in inner.output:
            for dim in list(_dimensions(output)) if everything else _symbolic(output):
                size = known.of(dim.dim_param) if output.name in caches else None
                dim.Clear()
                if size is not None:
                    dim.dim_value = size


def _returned_caches(graph: GraphProto) -> Iterator[str]:
    """What attention operators of ONNX Runtime return behind their result."""
    for node in graph.node:
        if node.domain == "com.microsoft" and node.op_type.endswith("Attention"):
            yield from node.output[1:]


def _symbolic(value: ValueInfoProto) -> Iterator[Dimension]:
    return (dim for dim in _dimensions(value) if not dim.HasField("dim_value") or dim.dim_value < 0)
