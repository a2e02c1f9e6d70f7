#!/usr/bin/env bash
# ONNX Runtime 1.32.0, torch 2.13.0 (CPU), sympy 1.14.
#
# One would guess: onnxruntime.tools.symbolic_shape_infer, which needs onnx and sympy, imports these.
#
# What happens: where torch is installed, the import loads it too. The module does not use it: the package around it,
# onnxruntime.tools, imports a helper for torch's old exporter. With torch absent the import works.
#
# Why it matters: a tool that infers shapes starts slower by the seconds that torch takes and holds its memory, only
# because torch happens to lie in the same environment.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 torch==2.13.0 sympy==1.14.0 "numpy>=2,<3"
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(torch|onnxruntime|sympy) "
cat > "$folder/seen.py" <<'PY'
import sys
import time

start = time.process_time()
import onnxruntime.tools.symbolic_shape_infer  # noqa: F401
taken, loaded = time.process_time() - start, "torch" in sys.modules
print(f"the import took {taken:.1f} s of CPU; torch was loaded: {loaded}")

for name in ("torch", *[name for name in sys.modules if name.startswith(("torch.", "onnxruntime"))]):
    sys.modules.pop(name, None)
sys.modules["torch"] = None  # as if it were not installed
import onnxruntime.tools.symbolic_shape_infer as again

print("without torch the same import works:", hasattr(again, "SymbolicShapeInference"))
sys.exit(not loaded)
PY
if ! "$folder/venv/bin/python" "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
