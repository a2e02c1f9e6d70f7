"""The campaign's tables, in Markdown."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from platform import python_version
from typing import Any

from tests.campaign.cases import KINDS
from tests.campaign.outcomes import OUTCOMES
from tests.campaign.tally import Tally

PACKAGES = ("onnx", "onnxruntime-gpu", "torch", "protobuf", "numpy")


def versions() -> str:
    """The versions that the campaign ran with."""
    return ", ".join([f"Python {python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)])


def table(tally: Tally) -> str:
    """Cases by what was changed and what became of them."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for result in tally.results.values():
        counts[result["kind"]][result["outcome"]] += 1
    rows = [_row(kind, counted) for kind, counted in counts.items()]
    rows.append(_row("**all**", sum(counts.values(), Counter())))
    head = ["changed", "cases", *OUTCOMES]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)) + "\n"


def _row(name: str, counted: Counter[str]) -> Sequence[str]:
    return [name, f"{counted.total():,}", *(f"{counted[outcome]:,}" for outcome in OUTCOMES)]


def clusters(tally: Tally) -> str:
    """The faults by their kind, the most frequent first, each with the numbers of a few cases."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for result in tally.results.values():
        if result["key"]:
            found[result["outcome"], result["key"]].append(result)
    lines = []
    for (outcome, key), results in sorted(found.items(), key=lambda item: -len(item[1])):
        numbers = ", ".join(str(result["number"]) for result in results[:3])
        verbs = ", ".join(sorted({result["verb"] for result in results}))
        lines.append(f"- {len(results)} x {outcome}: {key} ({verbs}; cases {numbers})")
    return "\n".join(lines)
