"""A module alone, as files that anybody with ONNX Runtime can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from onnxlens.profile.runtime.inputs import save_inputs
from onnxlens.profile.subgraph.weight_files import from_folder, write_with_weights
from onnxlens.specs.layers import LayerParity

README = """\
{title}: the first part of {graph} that is over the tolerance by its own doing.

{model} is that part of the graph alone, with its weights; inputs.npz is what PyTorch hands it,
expected.npz what PyTorch makes of it. The relative L2 error there was {introduced:.2e}.

    python - <<'END'
    import numpy, onnxruntime
    inputs, expected = dict(numpy.load("inputs.npz")), dict(numpy.load("expected.npz"))
    session = onnxruntime.InferenceSession("{model}", providers=["CPUExecutionProvider"])
    for name, value in zip(expected, session.run(list(expected), inputs)):
        error = numpy.linalg.norm(value - expected[name]) / numpy.linalg.norm(expected[name])
        print(name, "relative L2 error:", error)
    END
"""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What is to be written.

    Attributes:
        layer: the module, or the operators of one.
        model: its part of the graph; external weights lie in ``weights_folder``.
        values: PyTorch's, by name: at least all that the model reads and makes.
    """

    layer: LayerParity
    model: onnx.ModelProto
    values: Mapping[str, np.ndarray]
    weights_folder: Path


def write_reproduction(part: Reproduction, folder: Path) -> None:
    """Write ``NAME.onnx`` with its weights, ``inputs.npz``, ``expected.npz`` and how to run them.

    Raises:
        CheckpointError: a weight cannot be read.
    """
    graph = part.model.graph
    title = part.layer.path or "the model's own operators"
    name = f"{part.layer.path or 'model'}.onnx"
    save_inputs({value.name: part.values[value.name] for value in graph.input}, folder / "inputs.npz")
    save_inputs({value.name: part.values[value.name] for value in graph.output}, folder / "expected.npz")
    text = README.format(title=title, graph=graph.name, model=name, introduced=part.layer.introduced or 0.0)
    (folder / "README.txt").write_text(text, encoding="utf-8")
    write_with_weights(part.model, folder / name, folder / f"{name}.data", from_folder(part.weights_folder))
