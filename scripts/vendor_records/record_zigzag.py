"""Record ZigZag's latency for the layers of ``conv_layers`` on some of the arrays that it brings.

Run by hand in a virtual environment of its own:

    python3.11 -m venv zigzag && zigzag/bin/pip install zigzag-dse==3.9.1 six
    zigzag/bin/python scripts/vendor_records/record_zigzag.py tests/data/vendor/zigzag-3.9.1.csv
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path

import onnx
import zigzag
from conv_layers import LAYERS, input_side
from onnx import TensorProto, helper
from zigzag.api import get_hardware_performance_zigzag

ARRAYS = {  # and the mapping that ZigZag brings for each
    **{name: name for name in ("tpu_like", "edge_tpu_like", "ascend_like", "tesla_npu_like")},
    "meta_prototype": "meta_prototype_like",
}


def model(inner: int, outer: int, kernel: int, side: int, stride: int) -> onnx.ModelProto:
    """One convolution; ZigZag wants all shapes, not values."""
    given = input_side(kernel, side, stride)
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], name="layer", kernel_shape=[kernel] * 2, strides=[stride] * 2,
        pads=[0] * 4, dilations=[1, 1], group=1,
    )  # fmt: skip
    sizes = {"x": [1, inner, given, given], "w": [outer, inner, kernel, kernel], "y": [1, outer, side, side]}
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in sizes.items()
    }
    graph = helper.make_graph([node], "layer", [values["x"], values["w"]], [values["y"]])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def main() -> None:
    """Write the CSV that the command line names."""
    inputs = Path(zigzag.__file__).parent / "inputs"
    with Path(sys.argv[1]).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("array", "layer", "macs", "ideal_cycles", "temporal_cycles", "cycles"))
        for array, mapped in ARRAYS.items():
            files = (("hardware", array), ("mapping", mapped))
            hardware, mapping = (str(inputs / kind / f"{name}.yaml") for kind, name in files)
            for name, sizes in LAYERS.items():
                with tempfile.TemporaryDirectory() as folder:
                    onnx.save(model(*sizes), f"{folder}/layer.onnx")
                    *_, found = get_hardware_performance_zigzag(
                        f"{folder}/layer.onnx", hardware, mapping, dump_folder=folder,
                        loma_show_progress_bar=False,
                    )  # fmt: skip
                cost = found[0][1][0][0]
                ideal, temporal, total = cost.ideal_cycle, cost.ideal_temporal_cycle, cost.latency_total2
                writer.writerow(
                    (array, name, cost.layer.total_mac_count, *map(round, (ideal, temporal, total)))
                )
                file.flush()


if __name__ == "__main__":
    main()
