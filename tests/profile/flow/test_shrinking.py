"""Levels that are made one box when they are done leave the rows around them as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxlens.profile.flow import shrinking
from onnxlens.profile.flow.deepest import DeepestFlow, build_flow
from onnxlens.profile.flow.shrinking import Shrinking
from tests.profile.models import ledger_of, op, save, value

LEVELS = ["a", "a.b", "a.b.c"]


def nested(folder: Path, *, interleaved: bool) -> DeepestFlow:
    """A chain down through a.b.c and back; interleaved, what is in a.b.c runs before and after the rest."""
    paths = [*("a.p", "a.b.q", "a.b.c.r", "a.b.c.s", "a.b.t", "a.u", "v"), *(["a.b.c.w", "x"] * interleaved)]
    nodes = [op("Exp" if index % 2 else "Relu", f"x{index}", f"x{index + 1}") for index in range(len(paths))]
    for node, path in zip(nodes, paths, strict=True):
        node.name = f"/{path.replace('.', '/')}/{node.op_type}"
    save(folder, nodes, [value("x0", (1, 4))], [value(f"x{len(nodes)}", (1, 4))])
    return build_flow(*ledger_of(folder / "graph.onnx"))


def rows(deepest: DeepestFlow) -> list[list[tuple[object, ...]]]:
    levels = Shrinking(deepest)
    found = []
    for path in reversed(LEVELS):
        _, flow, parts = levels.row(path)
        found.append(
            [
                (
                    box.path,
                    box.kind,
                    box.title,
                    box.parents,
                    dict(box.costs),
                    sorted(name for part in parts[box.id] for name in levels.ids(part)),
                )
                for box in flow.nodes
                if box.order
            ]
        )
    return found


@pytest.mark.parametrize("interleaved", [False, True])
def test_rows_are_those_of_the_whole_flow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interleaved: bool
) -> None:
    deepest = nested(tmp_path, interleaved=interleaved)
    monkeypatch.setattr(shrinking, "WORTH_IT", 0)  # never
    plain = rows(deepest)
    monkeypatch.setattr(shrinking, "WORTH_IT", 10**9)  # at once
    assert rows(deepest) == plain
    assert [[box[0] for box in row] for row in plain][1][:2] == ["a.b.q", "a.b.c"]


def test_a_level_that_is_done_is_one_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shrinking, "WORTH_IT", 10**9)
    levels = Shrinking(nested(tmp_path, interleaved=False))
    levels.row("a.b.c")
    shown, *_ = levels.row("a.b")  # q, c, t
    assert [box.path for box in shown.flow.nodes if box.order] == ["a.b.q", "a.b.c", "a.b.t"]
