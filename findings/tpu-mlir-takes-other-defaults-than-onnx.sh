#!/usr/bin/env bash
# tpu-mlir 1.30.2 (Sophgo BM1684X and others), onnx 1.14.1, onnxsim 0.4.17, Python 3.10.
#
# One would guess: a node that leaves out an attribute has ONNX's default. Elu's alpha is 1, and the strides of a
# pooling are 1 along every axis.
#
# What happens: the importer gives Elu an alpha of 0, so that it is a ReLU, and a pooling without strides those of its
# kernel, as PyTorch's layers have. Nothing is said. A 2 x 2 AveragePool of 8 x 8 has 4 x 4 outputs in the place of 7 x 7.
# Convolutions without strides are right.
#
# Why it matters: exporters that write defaults hide it. A file of another framework, or one that a simplifier went over,
# is another network after the import; only its own comparison with ONNX Runtime tells, which --not_inference leaves out.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3.10 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'tpu-mlir[onnx]==1.30.2' 'setuptools<80' psutil
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -iE "^(tpu[-_]mlir|onnx) "
cat > "$folder/seen.py" <<'PY'
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from onnx import TensorProto, helper, save

ROOT = Path(find_spec("tpu_mlir").origin).parent
Path("packages").mkdir()  # it imports PyTorch, and uses it for PyTorch's files alone
Path("packages/torch.py").write_text("""
class Tensor: ...
def __getattr__(name):
    raise (AttributeError if name[:2] == "__" else ImportError)(name)
""")
maps = Path("/proc/self/maps").read_text().splitlines()
system = next(Path(line.split()[-1]).parent for line in maps if line.endswith("/libc.so.6"))
bundled = ROOT / "lib" / "third_party"  # the C library of another system, with which its programs crash
own = [system / path.name for path in bundled.glob("lib*.so.*") if path.name.split(".")[0][3:] in ("c", "m", "dl", "pthread", "rt")]
os.environ |= {
    "TPUC_ROOT": str(ROOT),
    "PATH": os.pathsep.join([f"{ROOT}/bin", os.environ["PATH"]]),
    "PYTHONPATH": os.pathsep.join(map(str, [ROOT, ROOT / "python", ROOT.parent, Path("packages").absolute()])),
    "LD_LIBRARY_PATH": os.pathsep.join(map(str, [ROOT / "lib", bundled])),
    "LD_PRELOAD": os.pathsep.join(str(path) for path in own if path.is_file()),
}


def imported(operator: str, size: int, **attributes: object) -> str:
    """The operation that the importer makes of one node."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2, 8, 8))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 2, size, size))
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], "n", **attributes)], "g", [x], [y])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "m.onnx")
    script = ROOT / "python" / "tools" / "model_transform.py"
    told = ["--model_name", "m", "--model_def", "m.onnx", "--mlir", "m.mlir", "--not_inference"]
    subprocess.run([sys.executable, script, *told], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    text = Path("m.mlir").read_text()
    return next(line for line in text.splitlines() if re.search(r'"top\.(Elu|AvgPool|MaxPool)"', line))


elu = imported("Elu", 8)
print(elu.strip())
assert re.search(r"alpha = 0\.0", elu), "Elu's default is ONNX's: the finding is out of date"
for operator in ("AveragePool", "MaxPool"):
    pool = imported(operator, 7, kernel_shape=[2, 2])
    print(pool.strip())
    assert "strides = [2, 2]" in pool, "a pooling's default is ONNX's: the finding is out of date"
PY
cd "$folder" && "$folder/venv/bin/python" "$folder/seen.py"
