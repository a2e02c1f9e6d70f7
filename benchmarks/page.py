"""The page of results, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from contenders import FLOOR
from goals import Goal, Results
from measuring import Result

INTRODUCTION = """# How fast `onnxlens profile` is

`onnxlens profile` reads a file, counts every node and groups by module. It is held against two things:
onnx-tool, the peer that does most of the same (load, infer shapes, profile), and the *floor*, a program that
imports onnx_ir, loads the same file and looks at every node's inputs: the least that a reader in Python does.

```
python benchmarks/profile_speed.py --out docs/benchmarks.md
```

makes the files in a temporary folder (4 GB: the UNet has its 3.4 GB of seeded weights), measures, and
writes this part of the page. Each contender is a process of its own, started anew for every run: once
unmeasured, so that all find the files in the page cache, and then in turn with the others. Times are medians,
with the fastest and the slowest run in brackets; peak memory is the whole process's, as the system counts it.
The weights are there for onnx-tool, which reads them; onnxlens and the floor do not.

Chains are residual blocks of convolutions, products and element-wise operators, ten nodes each, with all
shapes in the file or (*bare*) without any, so that shapes have to be inferred. Of onnxlens they see the
slower form, JSON; onnx-tool is given the longest chain with shapes alone, once.
"""


PART = "\n# "


def put(path: Path, text: str) -> None:
    """Put a section, which starts with its title, into the page: replaces its earlier text, or is added."""
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    title = text.partition("\n")[0]
    parts = f"\n{before}".split(PART)[1:]
    titles = ["# " + part.partition("\n")[0] for part in parts]
    bodies = [f"# {part.strip()}\n" for part in parts]
    index = titles.index(title) if title in titles else len(parts)
    bodies[index : index + 1] = [f"{text.strip()}\n"]
    path.write_text("\n".join(bodies), encoding="utf-8")


def page(results: Results, goals: Iterable[Goal], conditions: Mapping[str, str], runs: int) -> str:
    """The part on counting: what was wanted, then a table for each file."""
    parts = [
        INTRODUCTION,
        "## What was wanted, and what came out\n",
        markdown(("", "measured", "wanted", ""), [_goal_row(goal) for goal in goals]),
        f"Measured on {'; '.join(f'{key}: {value}' for key, value in conditions.items())}; runs: {runs}.\n",
    ]
    for title, by_contender in results.items():
        parts += [
            f"## {title}\n",
            markdown(HEAD, [_row(r, by_contender.get(FLOOR)) for r in by_contender.values()]),
        ]
    return "\n".join(parts)


HEAD = ("", "wall", "CPU", "peak memory", "wall / floor", "memory / floor")


def _goal_row(goal: Goal) -> tuple[str, ...]:
    bound = f"{'at least' if goal.at_least else 'at most'} {goal.bound:g}{goal.unit}"
    return (goal.title, f"**{goal.measured:.2f}{goal.unit}**", bound, "yes" if goal.reached else "**no**")


def _row(result: Result, floor: Result | None) -> tuple[str, ...]:
    if not floor or not result.samples:
        return (*measured(result), "-", "-")
    return (
        *measured(result),
        f"{result.wall_s / floor.wall_s:.2f}",
        f"{result.peak_bytes / floor.peak_bytes:.2f}",
    )


def measured(result: Result) -> tuple[str, ...]:
    """Title, wall time, processor time and peak memory."""
    if not result.samples:
        return (result.title, result.failure, "-", "-")
    walls = [sample.wall_s for sample in result.samples]
    return (
        result.title,
        f"{result.wall_s:.2f} s ({min(walls):.2f}-{max(walls):.2f})",
        f"{result.cpu_s:.2f} s",
        f"{result.peak_bytes / 2**20:,.0f} MiB",
    )


def markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
