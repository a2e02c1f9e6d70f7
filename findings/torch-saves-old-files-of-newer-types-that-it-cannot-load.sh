#!/usr/bin/env bash
# torch 2.13.0.
#
# One would guess: a file that torch.save has written without a complaint can be loaded by torch.load of the same
# version, whatever the type of its tensors and whichever of torch's two file formats is asked for.
#
# What happens: in the older format (_use_new_zipfile_serialization=False), which many published checkpoints have,
# tensors of the types that have no typed storage class (float8_e4m3fn, float8_e5m2, float8_e8m0fnu, uint16, uint32)
# are written, the file has its full size, and loading it fails with an AttributeError about
# UntypedStorage, with weights_only and without. The zip format loads all of them, and the older one the older types.
#
# Why it matters: a quantised checkpoint that somebody converts with the old flag (to keep a reader from before
# torch 1.6 working) is lost, and the error names neither the tensor nor its type: a tool that reads checkpoints has to
# say itself which kind of file it met.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(torch|numpy) "
cat > "$folder/seen.py" <<'PY'
import io
import sys

import torch


def loaded(dtype: torch.dtype, *, new_format: bool, weights_only: bool) -> str:
    """What becomes of one tensor that is saved and loaded again."""
    file = io.BytesIO()
    tensor = torch.zeros(16, dtype=torch.uint8).view(dtype)
    torch.save({"w": tensor}, file, _use_new_zipfile_serialization=new_format)
    file.seek(0)
    try:
        back = torch.load(file, weights_only=weights_only)["w"]
    except AttributeError as error:
        return f"AttributeError: {error}"
    return "equal" if back.dtype == dtype and back.shape == tensor.shape else "another tensor"


NEWER = (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu, torch.uint16, torch.uint32)
OLDER = (torch.uint8, torch.int32, torch.float16, torch.bfloat16, torch.complex64)
wrong = 0
for dtype in (*NEWER, *OLDER):
    for weights_only in (True, False):
        zipped = loaded(dtype, new_format=True, weights_only=weights_only)
        older = loaded(dtype, new_format=False, weights_only=weights_only)
        print(f"{dtype}, weights_only={weights_only}: zip {zipped}; older format {older}")
        wrong += zipped != "equal" or older.startswith("AttributeError") != (dtype in NEWER)
sys.exit(wrong > 0)
PY
"$folder/venv/bin/python" "$folder/seen.py"
