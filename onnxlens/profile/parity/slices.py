"""Slices of a model between known values, as many at a time as fit into memory; one as files of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, ValueInfoProto

from onnxlens.errors import UsageError
from onnxlens.profile.runtime.inputs import save_inputs
from onnxlens.profile.subgraph.extractor import Extractor, typed
from onnxlens.profile.subgraph.weight_files import from_folder, write_with_weights
from onnxlens.specs.parity import ModuleParity
from onnxlens.specs.tensor import TensorSpec

REFERENCE = "pytorch/"
"""The prefix of an input that takes PyTorch's tensor: the value may also be an output, to be compared."""

COMPARING_BYTES = 3 * 8
"""For each element of the tensor being compared: both sides and their difference in float64."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The nodes that produce one value, as far back as known values, and graph inputs, their ``inputs``.

    Nodes are given by their indices among the model's nodes, ascending.
    """

    value: str
    nodes: tuple[int, ...]
    inputs: tuple[str, ...]


class Slicer:
    """Slices one model; weights stay where they are, external ones are referenced as in the file."""

    def __init__(self, model: onnx.ModelProto, types: Mapping[str, TensorSpec]) -> None:
        """Index the model, whose functions are inlined; types are of every value that may become an end."""
        self._extractor = Extractor(model)
        self._types = types

    def slice(self, value: str, known: Collection[str]) -> Slice:
        """The nodes that produce ``value`` from values in ``known``, graph inputs, and weights."""
        return Slice(value, *self._extractor.upstream(self._extractor.producers((value,)), known))

    def operators(self, part: Slice) -> Iterable[NodeProto]:
        """The nodes of a slice."""
        return (self._extractor.model.graph.node[index] for index in part.nodes)

    def model_of(
        self, slices: Collection[Slice], known: Collection[str], prefix: str = REFERENCE
    ) -> onnx.ModelProto:
        """A model of independent slices: none reads what another produces. Its outputs are their values.

        Graph inputs keep their names; an input for a value in ``known`` has ``prefix`` before its name.
        """
        inputs = dict.fromkeys(name for part in slices for name in part.inputs)
        renamed = {name: prefix + name for name in inputs if name in known}
        nodes = sorted({index for part in slices for index in part.nodes})
        return self._model([part.value for part in slices], nodes, inputs, renamed)

    def model_up_to(self, values: Collection[str]) -> onnx.ModelProto:
        """The whole model as far as some values, which are its outputs."""
        nodes, inputs = self._extractor.upstream(self._extractor.producers(values), ())
        return self._model(values, nodes, inputs, {})

    def _model(
        self,
        values: Collection[str],
        nodes: Iterable[int],
        inputs: Iterable[str],
        renamed: Mapping[str, str],
    ) -> onnx.ModelProto:
        declared = [self._typed(renamed.get(name, name), name) for name in inputs]
        outputs = [self._typed(value, value) for value in values]
        return self._extractor.model_of(nodes, declared, outputs, renamed)

    def _typed(self, name: str, value: str) -> ValueInfoProto:
        return typed(name, self._types[value].dtype, self._types[value].shape)


def chunks(
    slices: Sequence[Slice], types: Mapping[str, TensorSpec], memory_bytes: int
) -> Iterator[Sequence[Slice]]:
    """The slices in order, so many at a time that the tensors held for them fit into ``memory_bytes``.

    These are PyTorch's tensors, both inputs and references of the slices, ONNX Runtime's, and the float64
    copies of the pair that is being compared.

    Raises:
        UsageError: one slice alone does not fit.
    """
    chunk = _Chunk(types)
    for part in slices:
        if chunk.slices and chunk.held_bytes_with(part) > memory_bytes:
            yield chunk.slices
            chunk = _Chunk(types)
        if (needed := chunk.held_bytes_with(part)) > memory_bytes:
            raise UsageError(
                f"comparing {part.value!r} holds {needed:,} bytes, --memory allows {memory_bytes:,}; "
                "allow more"
            )
        chunk.add(part)
    if chunk.slices:
        yield chunk.slices


class _Chunk:
    """Slices, and the memory that comparing them takes."""

    def __init__(self, types: Mapping[str, TensorSpec]) -> None:
        self.slices: list[Slice] = []
        self._types = types
        self._captured: set[str] = set()
        self._captured_bytes = 0
        self._made_bytes = 0
        self._largest = 0

    def held_bytes_with(self, part: Slice) -> int:
        """The peak size of all tensors held while comparing the chunk with one more slice."""
        captured = self._captured_bytes + sum(map(self._size, self._new(part)))
        made = self._made_bytes + self._size(part.value)
        return captured + made + COMPARING_BYTES * max(self._largest, self._elements(part))

    def add(self, part: Slice) -> None:
        new = self._new(part)
        self._captured_bytes += sum(map(self._size, new))
        self._captured |= new
        self._made_bytes += self._size(part.value)
        self._largest = max(self._largest, self._elements(part))
        self.slices.append(part)

    def _new(self, part: Slice) -> set[str]:
        return {part.value, *part.inputs} - self._captured

    def _size(self, name: str) -> int:
        return self._types[name].size_bytes or 0

    def _elements(self, part: Slice) -> int:
        return self._types[part.value].elements or 0


README = """\
{title}: the first diverging part of {graph}: its local error is over the tolerance.

{model} is that part of the graph alone, with its weights; inputs.npz holds the inputs that PyTorch passes to
it, expected.npz the outputs that PyTorch computes. The relative L2 error was {error:.2e}.

    python - <<'END'
    import numpy, onnxruntime
    inputs, expected = dict(numpy.load("inputs.npz")), dict(numpy.load("expected.npz"))
    session = onnxruntime.InferenceSession("{model}", providers=["CPUExecutionProvider"])
    for name, value in zip(expected, session.run(list(expected), inputs)):
        error = numpy.linalg.norm(value - expected[name]) / numpy.linalg.norm(expected[name])
        print(name, "relative L2 error:", error)
    END
"""


def write_reproduction(
    row: ModuleParity, model: onnx.ModelProto, values: Mapping[str, np.ndarray], weights: Path, folder: Path
) -> None:
    """Write ``NAME.onnx`` with its weights, ``inputs.npz``, ``expected.npz`` and a README with how to run it.

    The row is of a module, or of a segment of its operators, and the model its part of the graph, with
    external weights in the folder ``weights``. The values are PyTorch's, by name: at least all inputs and
    outputs of the model.

    Raises:
        CheckpointError: a weight cannot be read.
    """
    graph = model.graph
    title = row.path or "the model's own operators"
    name = f"{row.path or 'model'}.onnx"
    save_inputs({value.name: values[value.name] for value in graph.input}, folder / "inputs.npz")
    save_inputs({value.name: values[value.name] for value in graph.output}, folder / "expected.npz")
    text = README.format(title=title, graph=graph.name, model=name, error=row.introduced or 0.0)
    (folder / "README.txt").write_text(text, encoding="utf-8")
    write_with_weights(model, folder / name, folder / f"{name}.data", from_folder(weights))
