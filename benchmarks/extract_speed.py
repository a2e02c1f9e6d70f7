"""The cost of extracting a module from a file, against onnx.utils.extract_model: see docs/benchmarks.md.

``python benchmarks/extract_speed.py sd-unet.onnx --out docs/benchmarks.md``, on an export with weights.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from contenders import extraction, peers_extraction
from environment import conditions, environment
from extract_page import Facts, section
from measuring import Contender, measure
from page import put

MODULES = ("input_blocks.1", "input_blocks.1.1")
PACKAGES = ("onnxlens", "onnx", "torch", "onnxruntime-gpu")


def main() -> None:
    """Measure, compare the files, and write or print the section of the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="an .onnx file with its weights and its manifest next to it")
    parser.add_argument("--modules", nargs="+", default=MODULES, metavar="PATH")
    parser.add_argument("--runs", type=int, default=3, help="measured runs of each contender [3]")
    parser.add_argument("--out", type=Path, help="put the part into this page instead of printing it")
    chosen = parser.parse_args()
    named = conditions(PACKAGES)  # measured first: the load average must not include these runs
    with TemporaryDirectory(prefix="onnxlens-") as temporary:
        folder = Path(temporary)
        _copy_without_manifest(chosen.file, folder)
        results = {}
        for module in chosen.modules:
            print(module, file=sys.stderr)
            contenders = list(_contenders(chosen.file, module, folder))
            results[module] = measure(contenders, chosen.runs, environment())
        facts = {module: _facts(chosen.file, module, folder) for module in chosen.modules}
    text = section(chosen.file, results, facts, named, chosen.runs)
    if chosen.out:
        put(chosen.out, text)
    else:
        print(text)


def _copy_without_manifest(path: Path, folder: Path) -> None:
    """Copy the model and its data without the manifest: onnx and onnxlens refuse linked weight files."""
    for file in (path, path.with_suffix(".onnx.data")):
        shutil.copyfile(file, folder / file.name)


def _ours(module: str, folder: Path) -> Path:
    return folder / "ours" / f"{module}.onnx"


def _theirs(module: str, folder: Path) -> Path:
    return folder / "theirs" / f"{module}.onnx"


def _contenders(path: Path, module: str, folder: Path) -> Iterator[Contender]:
    """Ours runs once before: the peer needs the names of the module's inputs and outputs."""
    ours = extraction(path, module, _ours(module, folder))
    subprocess.run(ours.command, env=environment(), check=True, stdout=subprocess.DEVNULL)
    yield ours
    yield extraction(folder / path.name, module, folder / "alone" / f"{module}.onnx", ", no manifest")
    inputs, outputs = _module_io(_ours(module, folder))
    _theirs(module, folder).parent.mkdir(exist_ok=True)
    for quick in (True, False):
        yield peers_extraction(path, _theirs(module, folder), inputs, outputs, quick)


def _module_io(path: Path) -> tuple[Sequence[str], Sequence[str]]:
    manifest = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    inputs, outputs = ([tensor["name"] for tensor in manifest[side]] for side in ("inputs", "outputs"))
    return inputs, outputs


def _facts(path: Path, module: str, folder: Path) -> Facts:
    """Compare the files; called last, because its large imports would disturb the measurement."""
    import numpy as np

    import onnxlens
    from onnxlens.profile.graph.loading import load_graph
    from onnxlens.profile.runtime.inputs import sample_inputs
    from onnxlens.profile.runtime.session import open_session, run

    ours, theirs = _ours(module, folder), _theirs(module, folder)
    whole = {row.path: row for row in onnxlens.profile_graph(path).modules}
    alone = {row.path: row for row in onnxlens.profile_graph(ours).modules}
    inside = [name for name in whole if name == module or name.startswith(f"{module}.")]
    inputs = sample_inputs(load_graph(ours).inputs, {})
    mine, other = (run(open_session(file), inputs) for file in (ours, theirs))
    check = onnxlens.check_graph(ours)
    return Facts(
        file_bytes=ours.stat().st_size,
        peer_bytes=theirs.stat().st_size,
        macs=alone[module].macs,
        macs_in_whole=whole[module].macs,
        rows=len(inside),
        equal_rows=sum(alone[name].macs == whole[name].macs for name in inside),
        apart=max(float(np.abs(mine[name] - other[name]).max()) for name in mine),
        parity=max(output.rel_l2 for output in check.outputs),
    )


if __name__ == "__main__":
    main()
