"""How fast ``onnxlens profile`` is, against onnx-tool and the floor: see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from contenders import document, floor, help_page, peer, table
from environment import conditions, environment
from files import CHAIN_SIZES, RESNET, UNET, chain_name
from goals import HELP, Results, goals
from measuring import Contender, Result, measure
from page import page, put

PACKAGES = ("onnxlens", "onnx", "onnx-ir", "onnx-tool")


def main() -> int:
    """Make the files, measure, and write or print the page; 1 when a wanted figure was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="measured runs of each contender [5]")
    parser.add_argument("--limit", type=float, default=300, help="seconds that onnx-tool may take [300]")
    parser.add_argument("--out", type=Path, help="put it into this page instead of printing it")
    parser.add_argument(
        "--files", type=Path, help="keep the files in this folder, and use those that are there"
    )
    chosen = parser.parse_args()
    named = conditions(PACKAGES)  # measured first: the load average must not include these runs
    with TemporaryDirectory(prefix="onnxlens-") as temporary:
        folder = chosen.files or Path(temporary)
        _make_files(folder)
        results = _measured(folder, chosen.runs, chosen.limit)
    reached = list(goals(results))
    text = page(results, reached, named, chosen.runs)
    if chosen.out:
        put(chosen.out, text)
    else:
        print(text)
    return 0 if all(goal.reached for goal in reached) else 1


def _measured(folder: Path, runs: int, limit_s: float) -> Results:
    """By file, then by contender."""
    contenders = {}
    for name in (UNET, RESNET):
        path = folder / f"{name}.onnx"
        contenders[name] = [floor(path), table(path), document(path), peer(path, limit_s)]
    for nodes, with_shapes in product(CHAIN_SIZES, (True, False)):
        name = chain_name(nodes, with_shapes)
        path = folder / f"{name}.onnx"
        contenders[name] = [floor(path), document(path)]
    longest = folder / f"{chain_name(CHAIN_SIZES[-1], with_shapes=True)}.onnx"
    contenders[longest.stem].append(peer(longest, limit_s, once=True))
    return {title: _run(title, them, runs) for title, them in {**contenders, HELP: [help_page()]}.items()}


def _run(title: str, contenders: list[Contender], runs: int) -> Mapping[str, Result]:
    print(title, file=sys.stderr)
    return {result.title: result for result in measure(contenders, runs, environment())}


def _make_files(folder: Path) -> None:
    """In another process: this one has to stay small, see ``measuring``."""
    last = folder / f"{chain_name(CHAIN_SIZES[-1], False)}.onnx"
    if not last.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        print("making the files", file=sys.stderr)
        command = [sys.executable, str(Path(__file__).with_name("files.py")), str(folder)]
        subprocess.run(command, env=environment(), check=True)


if __name__ == "__main__":
    sys.exit(main())
