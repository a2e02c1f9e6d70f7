"""One module or segment alone, as files that run in ONNX Runtime without this package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from onnxlens.profile.runtime.inputs import save_inputs
from onnxlens.profile.subgraph.weight_files import from_folder, write_with_weights
from onnxlens.specs.parity import ModuleParity

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
