"""A module alone, as files that anybody with ONNX Runtime can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import external_data_helper

from onnxlens.errors import ParityError
from onnxlens.profile.inputs import save_inputs
from onnxlens.specs.layers import LayerParity

ONE_FILE_BYTES = 2**31 - 2**20
"""What a protobuf file may hold, less some room for the nodes."""

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
    """Write ``NAME.onnx`` with its weights in it, ``inputs.npz``, ``expected.npz`` and how to run them.

    Raises:
        ParityError: the part's weights do not fit into one file.
    """
    graph = part.model.graph
    title = part.layer.path or "the model's own operators"
    external_data_helper.load_external_data_for_model(part.model, str(part.weights_folder))
    if (size := part.model.ByteSize()) > ONE_FILE_BYTES:
        raise ParityError(f"{title}: its part of the graph takes {size:,} bytes, too many for one .onnx file")
    name = f"{part.layer.path or 'model'}.onnx"
    (folder / name).write_bytes(part.model.SerializeToString())
    save_inputs({value.name: part.values[value.name] for value in graph.input}, folder / "inputs.npz")
    save_inputs({value.name: part.values[value.name] for value in graph.output}, folder / "expected.npz")
    text = README.format(title=title, graph=graph.name, model=name, introduced=part.layer.introduced or 0.0)
    (folder / "README.txt").write_text(text, encoding="utf-8")
