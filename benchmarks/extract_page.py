"""The section of docs/benchmarks.md on extracting modules, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from measuring import Result
from page import markdown, measured

INTRODUCTION = """# How fast `onnxlens extract` is

`onnxlens extract` writes one module of a file, with its weights, as a file of its own. Where our manifest
lies next to the file it also runs the PyTorch network without values, to learn how that calls the module;
*no manifest* is the same file without it, where torch is not even imported. onnx's own
`onnx.utils.extract_model` extracts from tensors to tensors: it does not know modules, so it is given the
names of the module's inputs and outputs that onnxlens found.

```
python benchmarks/extract_speed.py sd-unet.onnx --out docs/benchmarks.md
```

measures and writes this part of the page. Processes are started, and times and memory taken, as above. After
that the two files of a module are run in ONNX Runtime on the same inputs (*apart* is the largest difference
of their outputs), and onnxlens's is checked against PyTorch's module (*off PyTorch* is the relative L2 error)
and counted: *rows equal* says of the module and all inside it how many have the same MACs in both ledgers.
"""


@dataclass(frozen=True)
class Facts:
    """Facts about the extracted files.

    Attributes:
        macs: of the subgraph.
        macs_in_whole: of the module's row in the ledger of the whole file.
        rows: the module and all inside it.
        equal_rows: of these the ones with the same MACs in both ledgers.
        apart: the largest difference between the outputs of the two files.
        parity: relative L2 error against PyTorch's module.
    """

    file_bytes: int
    peer_bytes: int
    macs: int
    macs_in_whole: int
    rows: int
    equal_rows: int
    apart: float
    parity: float


def section(
    path: Path,
    results: Mapping[str, Sequence[Result]],
    facts: Mapping[str, Facts],
    conditions: Mapping[str, str],
    runs: int,
) -> str:
    """The part: a table of times for each module, and one of what the files hold."""
    sizes = [file.stat().st_size for file in (path, path.with_suffix(".onnx.data")) if file.is_file()]
    parts = [
        INTRODUCTION,
        f"Cut from `{path.stem}`, {_mib(sum(sizes))} with its weights. Measured on "
        f"{'; '.join(f'{key}: {value}' for key, value in conditions.items())}; runs: {runs}.\n",
    ]
    for module, contenders in results.items():
        parts += [
            f"## {module}\n",
            markdown(("", "wall", "CPU", "peak memory"), map(measured, contenders)),
        ]
    return "\n".join((*parts, "## What the files hold\n", markdown(HEAD, _rows(facts))))


HEAD = ("module", "file", "onnx's file", "MACs", "its row in the whole", "rows equal", "apart", "off PyTorch")


def _rows(facts: Mapping[str, Facts]) -> Iterable[tuple[str, ...]]:
    for module, held in facts.items():
        yield (
            module,
            f"{_mib(held.file_bytes)}",
            f"{_mib(held.peer_bytes)}",
            f"{held.macs:,}",
            f"{held.macs_in_whole:,}",
            f"{held.equal_rows} of {held.rows}",
            f"{held.apart:.1e}" if held.apart else "0",
            f"{held.parity:.1e}",
        )


def _mib(size: int) -> str:
    return f"{size / 2**20:,.2f} MiB"
