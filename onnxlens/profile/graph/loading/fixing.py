"""Fixing what is open in a graph's inputs, as the user says: dimensions, and values that decide shapes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path

import numpy as np
from onnx import GraphProto, ModelProto, TensorShapeProto, TypeProto, ValueInfoProto, helper, numpy_helper

from onnxlens.errors import UsageError
from onnxlens.profile.graph.loading.dimensions.derive import dimension_name, equations_of
from onnxlens.profile.graph.loading.dimensions.equations import Equations, Known, contradiction
from onnxlens.profile.graph.loading.dimensions.expressions import ANONYMOUS, computed_from
from onnxlens.profile.graph.loading.protobuf import FileGraph, all_graphs
from onnxlens.profile.graph.loading.value_types import value_type
from onnxlens.specs.record import record
from onnxlens.specs.tensor import TensorSpec

Dimension = TensorShapeProto.Dimension


@record(frozen=True, slots=True)
class Fixed:
    """What became of a graph's open dimensions.

    Attributes:
        changed: a note for each input whose fixed dimensions were changed.
        free: what it takes to know all dimensions of inputs (see ``Equations.free``).
        notes: which dimensions were found without being given.
        samples: sizes for ``free`` to run a language model at.
    """

    changed: Sequence[str] = ()
    free: Sequence[str] = ()
    notes: Sequence[str] = ()
    samples: Mapping[str, int] = field(default_factory=dict)


def fix_dimensions(
    path: Path,
    graph: FileGraph,
    shapes: Mapping[str, Sequence[int]],
    dims: Mapping[str, int],
    derived: dict[bool, Equations],
) -> Fixed:
    """Give inputs their sizes, in place, and drop what the file says of sizes that follow from them.

    A shape also says what the names in it stand for, in other inputs too. A dimension that the file decides,
    by itself or by those that are given, gets its size.

    Args:
        path: of the file, for messages and small external tensors.
        graph: the model's.
        shapes: by input, all of its dimensions; one that is fixed in the file is changed.
        dims: by symbol.
        derived: the equations of the graph, by whether sizes were changed: found when first asked for.

    Raises:
        UsageError: nothing has the name, or sizes contradict each other or what the file decides.
    """
    inputs = _open_inputs(graph.proto)
    _require_inputs(path, inputs, shapes)
    standing = {dim.dim_param for name in shapes for dim in _dimensions(inputs[name])}
    given: dict[str, Known] = {}
    for symbol, size in dims.items():
        _give(path, given, symbol, size, f"--dim {symbol}={size}")
    changed = [
        note for name, sizes in shapes.items() if (note := _fix_shape(path, inputs[name], sizes, given))
    ]
    if not shapes and not dims and not any(any(_symbolic(value)) for value in inputs.values()):
        return Fixed()
    derived = {} if shapes else derived
    if bool(changed) not in derived:
        derived[bool(changed)] = equations_of(graph, path.parent, stale=bool(changed))
    equations = derived[bool(changed)]
    for symbol in dims.keys() - equations.names - standing:
        listed = ", ".join(sorted(equations.inputs)) or "none: use --shape for those without a name"
        raise UsageError(f"{path.name} has no dimension {symbol!r}; its inputs' dimensions are {listed}")
    found = _solved(path, equations, given)
    for value in inputs.values():
        for axis, dim in enumerate(_dimensions(value)):
            known = found.get(dimension_name(value.name, axis, dim.dim_param or "?"))
            if known is not None and not _is_fixed(dim):
                dim.dim_value = known.size
    if given or shapes:
        _forget_symbols(graph.proto, found, equations.caches, everything=bool(changed))
    else:
        _write_sizes(graph.proto, found)
    free = equations.free(found)
    return Fixed(changed, free, _follow_notes(equations, given, found), equations.samples(free))


def _solved(path: Path, equations: Equations, given: Mapping[str, Known]) -> Mapping[str, Known]:
    """All that follows; of a cache whose other sizes are given, one sequence where nobody says how many."""
    try:
        found = equations.solved(given)
        if given and equations.free(found) == [equations.batch]:
            one = Known(1, "one sequence, where nothing else is given", assumed=True)
            found = equations.solved({**given, str(equations.batch): one})
    except UsageError as error:
        raise UsageError(f"{path.name}: {error}") from error
    return found


def _follow_notes(
    equations: Equations, given: Mapping[str, Known], found: Mapping[str, Known]
) -> Sequence[str]:
    """Which dimensions were found without being given; what their name says needs no note."""
    followed = [name for name in equations.inputs if name in found and name not in given]
    listed = ", ".join(
        f"{name}={found[name].size}{_reason(found[name])}" for name in followed if not computed_from(name)
    )
    return (f"dimensions that follow: {listed}",) if listed else ()


def _reason(known: Known) -> str:
    """Why, where nothing else is possible only as long as nobody says otherwise."""
    return f" ({known.said})" if known.assumed else ""


def with_changed_shapes(path: Path, shapes: Mapping[str, Sequence[int]]) -> bytes | None:
    """The model in the file with other sizes for inputs that it fixes, and none that follow from those.

    None where it fixes none of the inputs otherwise: it takes these sizes as it is.
    """
    model = ModelProto()
    model.ParseFromString(path.read_bytes())
    inputs = _open_inputs(model.graph)
    _require_inputs(path, inputs, shapes)
    if not any([_fix_shape(path, inputs[name], sizes, {}) for name, sizes in shapes.items()]):
        return None
    _forget_symbols(model.graph, {}, (), everything=True)
    for function in model.functions:
        del function.value_info[:]
    return model.SerializeToString()


def _give(path: Path, given: dict[str, Known], symbol: str, size: int, source: str) -> None:
    """Raises UsageError where the symbol stands for something else already."""
    if size < 0:
        raise UsageError(f"{path.name}: a dimension of {size} is no size")
    if symbol and symbol not in ANONYMOUS:
        held = given.setdefault(symbol, Known(size, source, frozenset({source})))
        if held.size != size:
            raise UsageError(f"{path.name}: {contradiction(symbol, held, Known(size, source))}")


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


def _fix_shape(path: Path, value: ValueInfoProto, sizes: Sequence[int], given: dict[str, Known]) -> str:
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
        _give(path, given, dim.dim_param, size, f"the shape of {value.name!r}")
        changed |= dim.HasField("dim_value") and dim.dim_value >= 0 and dim.dim_value != size
        dim.dim_value = size
    if not changed:
        return ""
    now = TensorSpec(value.name, "", tuple(sizes)).shape_text()
    return f"input {value.name} is {before} in the file and was changed to {now}: shapes were inferred anew"


def _forget_symbols(
    graph: GraphProto, found: Mapping[str, Known], caches: Collection[str], *, everything: bool
) -> None:
    """Drop the types in between that hold a symbol, and the symbols of outputs: inference finds them anew.

    A cache that is returned keeps what its own symbols are known to be: they say whether it grows.
    """
    for _, inner in all_graphs(graph):
        kept = [] if everything else [value for value in inner.value_info if not any(_symbolic(value))]
        del inner.value_info[:]
        inner.value_info.extend(kept)
        for output in inner.output:
            for dim in list(_dimensions(output)) if everything else _symbolic(output):
                known = found.get(dim.dim_param) if output.name in caches else None
                dim.Clear()
                if known is not None:
                    dim.dim_value = known.size


def _write_sizes(graph: GraphProto, found: Mapping[str, Known]) -> None:
    """Put what the file decides in the place of its symbols."""
    for value in (*graph.value_info, *graph.output) if found else ():
        for dim in _symbolic(value):
            if dim.dim_param in found:
                dim.dim_value = found[dim.dim_param].size


def _symbolic(value: ValueInfoProto) -> Iterator[Dimension]:
    return (dim for dim in _dimensions(value) if not _is_fixed(dim))


def _is_fixed(dim: Dimension) -> bool:
    return dim.HasField("dim_value") and dim.dim_value >= 0
