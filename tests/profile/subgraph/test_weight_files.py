"""Files of a model with its weights, written one weight after another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxlens.errors import CheckpointError
from onnxlens.profile.subgraph.weight_files import from_folder, write_with_weights

DATA = "weights.data"


def pointing(name: str, shape: tuple[int, ...], offset: int, dtype: int = TensorProto.UINT8) -> TensorProto:
    """A weight in the data file."""
    tensor = TensorProto(name=name, data_type=dtype, dims=shape, data_location=TensorProto.EXTERNAL)
    length = int(np.prod(shape)) * helper.tensor_dtype_to_np_dtype(dtype).itemsize
    for key, value in (("location", DATA), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def summing(weights: list[TensorProto]) -> onnx.ModelProto:
    """Returns every weight."""
    outputs = [
        helper.make_tensor_value_info(f"{weight.name}.out", weight.data_type, weight.dims)
        for weight in weights
    ]
    nodes = [helper.make_node("Identity", [weight.name], [f"{weight.name}.out"]) for weight in weights]
    graph = helper.make_graph(nodes, "made", [], outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], producer_name="tests")


def test_weights_of_every_length_are_read_as_they_were_written(tmp_path: Path) -> None:
    # a length takes one byte up to 127, two up to 16,383 and three after it: of the values, and around them
    sizes = [0, 1, 100, 127, 128, 16_300, 16_383, 16_384]
    values = np.arange(sum(sizes), dtype=np.uint32).astype(np.uint8)
    (tmp_path / DATA).write_bytes(values.tobytes())
    starts = np.cumsum([0, *sizes])
    weights = [pointing(f"w{size}", (size,), start) for size, start in zip(sizes, starts[:-1], strict=True)]
    inside = numpy_helper.from_array(np.array([7, 8], np.float32), "inside")
    path = tmp_path / "made.onnx"
    write_with_weights(summing([*weights, inside]), path, tmp_path / "external", from_folder(tmp_path))
    assert not (tmp_path / "external").exists()
    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)
    assert (model.producer_name, len(model.graph.node), len(model.graph.output)) == ("tests", 9, 9)
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert held.pop("inside").tolist() == [7, 8]
    for size, start in zip(sizes, starts[:-1], strict=True):
        assert np.array_equal(held.pop(f"w{size}"), values[start : start + size])
    assert not held
    # written again from what was read, it is what protobuf writes: as long, to the byte
    assert len(model.SerializeToString()) == path.stat().st_size


def test_values_that_are_too_few_are_refused(tmp_path: Path) -> None:
    (tmp_path / DATA).write_bytes(bytes(8))
    tensor = pointing("short", (3,), 0, TensorProto.FLOAT)
    tensor.external_data[2].value = "8"  # of 3 floats only 2
    with pytest.raises(CheckpointError, match="short: its values are 8 bytes, its type and shape want 12"):
        write_with_weights(
            summing([tensor]), tmp_path / "made.onnx", tmp_path / "external", from_folder(tmp_path)
        )


WRITES = """
import resource, sys
from pathlib import Path
import onnx
from onnxlens.profile.subgraph import weight_files
folder = Path(sys.argv[1])
weight_files.ONE_FILE_BYTES = int(sys.argv[2])
model = onnx.load(folder / "made.onnx", load_external_data=False)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
weight_files.write_with_weights(
    model, folder / "out.onnx", folder / "out.onnx.data", weight_files.from_folder(folder)
)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("in_one_file", [True, False])
def test_memory_is_that_of_the_largest_weight_and_not_of_all(tmp_path: Path, in_one_file: bool) -> None:
    count, size = 16, 2**25
    with (tmp_path / DATA).open("wb") as file:
        file.truncate(count * size)
    model = summing([pointing(f"w{index}", (size,), index * size) for index in range(count)])
    (tmp_path / "made.onnx").write_bytes(model.SerializeToString())
    done = subprocess.run(
        [sys.executable, "-c", WRITES, str(tmp_path), str(2**31 if in_one_file else 0)],
        capture_output=True,
        text=True,
        check=True,
    )
    written = tmp_path / ("out.onnx" if in_one_file else "out.onnx.data")
    assert written.stat().st_size >= count * size  # 512 MiB
    # a weight of 32 MiB as it is read, in its message, and written: four times at most
    assert int(done.stdout) * 1024 < 4.5 * size
