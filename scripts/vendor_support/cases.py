"""Write ONNX's single-node backend tests as files that a tool's own Python can run, for ``generate.py``.

    python scripts/vendor_support/cases.py FOLDER

Each test with tensors alone becomes one or two cases: ``given``, where every input is one of the graph's,
as ONNX has it, and ``constant``, where all inputs but the first are initializers, as weights, shapes and axes
are in networks. A case is a folder with ``model.onnx``, ``data.npz`` and ``case.json``.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.loader import load_model_tests

RANDOM = {"Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
          "RandomUniformLike"}  # fmt: skip
"""Their outputs are compared with nothing."""

LONGEST = 8
"""Values of an attribute that are written down; longer ones are told apart by their length alone."""

OPSET = 18
"""What networks are exported at; a test of a newer operator is written at it where that says the same."""


IR_VERSION = 10
"""One that tools of today open; the types that newer ones bring are left out."""


def main(folder: Path) -> None:
    """Write all cases."""
    warnings.simplefilter("ignore")
    ort.set_default_logger_severity(4)
    for test in load_model_tests(kind="node"):
        graph = test.model.graph
        if len(graph.node) != 1 or graph.node[0].op_type in RANDOM or not test.data_sets:
            continue
        inputs, outputs = test.data_sets[0]
        names, made = [value.name for value in graph.input], [value.name for value in graph.output]
        tensors = all(isinstance(array, np.ndarray | np.generic) for array in (*inputs, *outputs))
        if not tensors or len(names) != len(inputs):
            continue
        given = dict(zip(names, map(np.asarray, inputs), strict=True))
        wanted = dict(zip(made, map(np.asarray, outputs), strict=True))
        for suffix, model in models(test.model, test.name):
            kept = {value.name: wanted[value.name] for value in model.graph.output}
            write(folder / f"{test.name}.given{suffix}", model, given, kept, ())
            if len(names) > 1:
                write(folder / f"{test.name}.constant{suffix}", model, given, kept, tuple(names[1:]))


def models(model: Any, name: str) -> list[tuple[str, Any]]:
    """The test's; if it asks for optional outputs one with the first alone, as in networks.

    And a Reshape as torch exports it, with allowzero, which matters only for sizes of 0.
    """
    (node,) = model.graph.node
    versions = {each.domain: each.version for each in model.opset_import}
    outputs = onnx.defs.get_schema(node.op_type, versions[node.domain], node.domain).outputs
    optional = onnx.defs.OpSchema.FormalParameterOption.Optional
    found = [("", model)]
    if node.op_type == "Reshape" and not node.attribute and "zero" not in name:
        allowing = onnx.ModelProto.FromString(model.SerializeToString())
        allowing.graph.node[0].attribute.append(helper.make_attribute("allowzero", 1))
        found.append((".allowzero", allowing))
    if len(node.output) > 1 and len(outputs) > 1 and all(each.option == optional for each in outputs[1:]):
        alone = onnx.ModelProto.FromString(model.SerializeToString())
        first = alone.graph.node[0].output[0]
        del alone.graph.node[0].output[1:]
        kept = [value for value in alone.graph.output if value.name == first]
        del alone.graph.output[:]
        alone.graph.output.extend(kept)
        if first:
            found.append((".first", alone))
    return found


def write(
    folder: Path, model: Any, given: dict[str, Any], wanted: dict[str, Any], constant: tuple[str, ...]
) -> None:
    """One case; one whose arrays are in types that numpy does not have is left out."""
    if folder.exists():
        return
    arrays = {**{f"in_{name}": each for name, each in given.items() if name not in constant},
              **{f"out_{name}": each for name, each in wanted.items()}}  # fmt: skip
    if any(array.dtype.kind not in "biuf" or array.dtype.isbuiltin != 1 for array in arrays.values()):
        return
    made = onnx.ModelProto.FromString(model.SerializeToString())
    made.ir_version = IR_VERSION
    types = {value.name: value.type.tensor_type.elem_type for value in made.graph.input}
    for name in constant:
        if given[name].dtype.kind not in "biuf" or given[name].dtype.isbuiltin != 1:
            return
        made.graph.initializer.append(numpy_helper.from_array(given[name], name))
    kept = [value for value in made.graph.input if value.name not in constant]
    del made.graph.input[:]
    made.graph.input.extend(kept)
    made = older(made, {name: given[name] for name in given if name not in constant}, wanted)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    np.savez(folder / "data.npz", **arrays)
    (folder / "case.json").write_text(json.dumps(described(made, given, types, constant), indent=1))


def older(model: Any, inputs: dict[str, Any], wanted: dict[str, Any]) -> Any:
    """The model at ``OPSET`` if it is newer, valid there too, and ONNX Runtime finds the same outputs."""
    made = onnx.ModelProto.FromString(model.SerializeToString())
    for opset in made.opset_import:
        if not opset.domain:
            if opset.version <= OPSET:
                return model
            opset.version = OPSET
    try:
        onnx.checker.check_model(made)
        onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)
        session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
        found = session.run(list(wanted), inputs)
    except Exception:  # whatever it is, the model is not one of that opset
        return model
    same = (
        got.shape == want.shape and np.allclose(got, want, 1e-3, 1e-5, equal_nan=True)
        for got, want in zip(found, wanted.values(), strict=True)
    )
    return made if all(same) else model


def described(
    model: Any, given: dict[str, Any], types: dict[str, int], constant: tuple[str, ...]
) -> dict[str, Any]:
    """What a node must be like to be such a case."""
    (node,) = model.graph.node
    version = {each.domain: each.version for each in model.opset_import}[node.domain]
    return {
        "op_type": node.op_type,
        "domain": node.domain,
        "opset": onnx.defs.get_schema(node.op_type, version, node.domain).since_version,
        "types": [TensorProto.DataType.Name(types[name]).lower() if name else "" for name in node.input],
        "ranks": [given[name].ndim if name else -1 for name in node.input],
        "constant": [index for index, name in enumerate(node.input) if name in constant],
        "attributes": {each.name: plain(helper.get_attribute_value(each)) for each in node.attribute},
        "inputs": [value.name for value in model.graph.input],
        "outputs": [value.name for value in model.graph.output],
    }


def plain(value: Any) -> Any:
    """An attribute as JSON has it."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value] if len(value) <= LONGEST else f"{len(value)} values"
    return value if isinstance(value, (int, float, str)) else type(value).__name__


if __name__ == "__main__":
    main(Path(sys.argv[1]))
