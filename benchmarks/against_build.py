"""This working copy against another checkout of onnxlens, in interleaved pairs of runs.

    python benchmarks/against_build.py --base DIR chain-100000 light-resnet50
    python benchmarks/against_build.py --base DIR -- profile model.onnx --format json

prints a Markdown table: the medians of CPU time, wall time and peak memory, and their ratios (ours / base).
Each build is run once unmeasured, then in turn (base, ours, base, ours ...). In the arguments ``{files}`` is
the folder of the measured files and ``{out}`` a folder that is new in every run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from contenders import ENTRY, peers_command
from environment import ROOT, environment
from measuring import Contender, Result, Sample, Unfinished, run_once
from page import markdown

CACHE = "ONNXLENS_CACHE"
"""The environment variable that names onnxlens's cache folder; a build that has no cache ignores it."""


@dataclass(frozen=True)
class Case:
    """A command line to measure.

    Attributes:
        files: of the folder of measured files, those that it needs.
        keeps_cache: whether a run finds the cache that the run before it left; otherwise it is empty.
        peer: the file that onnx-tool profiles in the same runs; empty for none.
    """

    arguments: str
    files: Sequence[str] = ()
    keeps_cache: bool = False
    peer: str = ""


RESNET, CHAIN, LONGEST, BARE, UNET = (
    "light_resnet50.onnx",
    "chain-100000.onnx",
    "chain-200000.onnx",
    "chain-100000-bare.onnx",
    "sd-unet.onnx",
)

CASES: Mapping[str, Case] = {
    "chain-100000": Case(f"profile {{files}}/{CHAIN}", [CHAIN]),
    "chain-100000-bare": Case(f"profile {{files}}/{BARE}", [BARE]),
    "light-resnet50": Case(f"profile {{files}}/{RESNET}", [RESNET], peer=RESNET),
    "profile-sd-unet": Case("profile sd-unet"),
    "profile-sd-unet-cached": Case("profile sd-unet", keeps_cache=True),
    "ledger-clip-text": Case("ledger clip-text --latency --parity"),
    "ledger-mlsd-tiny": Case("ledger mlsd-tiny --height 128 --width 128 --latency --parity"),
    "render-sd-unet": Case(f"render {{files}}/{UNET} --depth 3 --out {{out}}/flow.svg", [UNET]),
    **{
        f"render-{name}{option.replace(' --', '-').replace(' ', '-')}-{suffix}": Case(
            f"render {{files}}/{name}.onnx{option} --out {{out}}/flow.{suffix}", [f"{name}.onnx"]
        )
        for name, option, suffix in (
            ("concat-20000", "", "svg"),
            ("concat-20000", "", "png"),
            ("concat-20000", "", "pdf"),
            ("split-3000", "", "svg"),
            ("split-3000", "", "png"),
            ("split-3000", "", "pdf"),
            ("star-20000", " --depth 3", "svg"),
            ("modules-20000", " --depth 3", "svg"),
            ("spine-30", " --depth 3", "svg"),
            ("tree-30", " --depth 3", "svg"),
            ("tree-30", " --depth 3", "png"),
        )
    },
    "explorer-200000": Case(
        f"render {{files}}/{LONGEST} --viewer model-explorer --out {{out}}/graph.json", [LONGEST]
    ),
    "run-mlsd-tiny": Case("run --graphs mlsd-tiny --quick --out {out}"),
}


HEAD = ("", "build", "CPU", "wall", "memory", "CPU / base", "wall / base", "memory / base")


def main() -> int:
    """Measure the chosen cases and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", type=Path, required=True, help="the other checkout; its .venv runs it")
    parser.add_argument("--pairs", type=int, default=5, help="measured pairs of runs [5]")
    parser.add_argument("--files", type=Path, help="keep the files here, and use those that are there")
    parser.add_argument("--limit", type=float, default=600, help="seconds that a run may take [600]")
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; or, after --, a command line")
    before, _, after = " ".join(sys.argv[1:]).partition(" -- ")
    chosen = parser.parse_args(before.split())
    cases = {after: Case(after)} if after else {name: CASES[name] for name in chosen.cases or CASES}
    with TemporaryDirectory(prefix="onnxlens-") as temporary:
        files = (chosen.files or Path(temporary)).resolve()
        for name in sorted({name for case in cases.values() for name in case.files}):
            make_file(files / name)
        rows = [
            row
            for name, case in cases.items()
            for row in _rows(name, _measured(case, chosen.base.resolve(), files, chosen.pairs, chosen.limit))
        ]
    print(markdown(HEAD, rows))
    return 0


def make_file(path: Path) -> None:
    """Make one of the files that cases measure, unless it is there; in a process of its own."""
    if path.is_file():
        return
    print(f"making {path.name}", file=sys.stderr)
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(Path(__file__).with_name("files.py")), str(path.parent), path.stem]
    subprocess.run(command, env=environment(), check=True)


def _measured(case: Case, base: Path, files: Path, pairs: int, limit_s: float) -> list[Result]:
    """The base's result first, then ours, then onnx-tool's where it is requested."""
    samples: dict[str, list[Sample]] = {}
    failures: dict[str, str] = {}
    with TemporaryDirectory(prefix="onnxlens-") as kept:
        for turn in range(pairs + 1):
            for title, checkout in (("base", base), ("ours", ROOT), ("onnx-tool", None)):
                if title in failures or (checkout is None and not case.peer):
                    continue
                try:
                    with _prepared(case, checkout, files, Path(kept) / title) as (command, variables):
                        sample = run_once(Contender(title, command, limit_s), variables)
                except Unfinished as reason:
                    failures[title] = str(reason)
                    continue
                print(f"  {turn}/{pairs} {title}: {sample.cpu_s:.2f} s CPU", file=sys.stderr)
                samples.setdefault(title, []).extend([sample] if turn else [])
    titles = dict.fromkeys((*samples, *failures))
    return [Result(title, tuple(samples.get(title, ())), failures.get(title, "")) for title in titles]


@contextmanager
def _prepared(
    case: Case, checkout: Path | None, files: Path, kept: Path
) -> Iterator[tuple[list[str], Mapping[str, str]]]:
    """The command of one run, and its environment."""
    if checkout is None:
        yield list(peers_command(files / case.peer).command), environment()
        return
    own = checkout / ".venv" / "bin" / "python"
    python = str(own) if own.is_file() else sys.executable
    with TemporaryDirectory(prefix="onnxlens-") as out:
        cache = kept if case.keeps_cache else Path(out) / "cache"
        arguments = [part.format(files=files, out=out) for part in case.arguments.split()]
        # the current folder must not come before the checkout
        variables = {**environment(checkout), "PYTHONSAFEPATH": "1", CACHE: str(cache)}
        yield [python, "-c", ENTRY, *arguments], variables


def _rows(name: str, results: Sequence[Result]) -> Iterator[tuple[str, ...]]:
    base = next((result for result in results if result.title == "base" and result.samples), None)
    for result in results:
        if not result.samples:
            yield (name, result.title, result.failure, *"-----")
            continue
        ratios = ("-", "-", "-")
        if base is not None:
            ratios = (
                f"{result.cpu_s / base.cpu_s:.2f}",
                f"{result.wall_s / base.wall_s:.2f}",
                f"{result.peak_bytes / base.peak_bytes:.2f}",
            )
        times = (f"{result.cpu_s:.2f} s", f"{result.wall_s:.2f} s")
        yield (name, result.title, *times, f"{result.peak_bytes / 2**20:,.0f} MiB", *ratios)


if __name__ == "__main__":
    sys.exit(main())
