"""``render --groups``: the picture by names of one's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.calls import done, onnxlens
from tests.profile.models import save_net

TEXT = '[[group]]\nname = "Trunk"\nmodules = ["stem", "body.0"]\n'


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    path = tmp_path / "groups.toml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_a_group_is_drawn_under_its_name(tmp_path: Path, groups: Path) -> None:
    out = tmp_path / "net.dot"
    done("render", save_net(tmp_path), "--groups", groups, "--depth", "1", "--out", out)
    source = out.read_text(encoding="utf-8")
    assert "Trunk" in source
    assert "stem, body.0" in source
    assert "Block" not in re.sub("<[^>]*>", " ", source).split()


def test_groups_are_colored_by_any_cost_that_adds_up(tmp_path: Path, groups: Path) -> None:
    out = tmp_path / "net.dot"
    done("render", save_net(tmp_path), "--groups", groups, "--depth", "1", "--color", "params", "--out", out)
    assert "share of all params" in out.read_text(encoding="utf-8")


def test_a_module_that_does_not_exist_is_refused_in_a_line(tmp_path: Path, groups: Path) -> None:
    groups.write_text(TEXT.replace("body.0", "body.1"), encoding="utf-8")
    outcome = onnxlens("render", save_net(tmp_path), "--groups", groups, "--out", tmp_path / "net.dot")
    assert outcome.code == 2
    assert outcome.err == (
        "onnxlens: group 'Trunk': no module 'body.1' runs in this graph; the nearest are body.0, body\n"
    )
    assert not (tmp_path / "net.dot").exists()


def test_a_file_of_groups_that_does_not_exist_is_refused_before_the_graph_is_read(tmp_path: Path) -> None:
    out, absent = tmp_path / "net.dot", tmp_path / "absent.toml"
    outcome = onnxlens("render", tmp_path / "absent.onnx", "--groups", absent, "--out", out)
    assert (outcome.code, outcome.out) == (2, "")
    assert "absent.toml: cannot be read (No such file or directory)" in outcome.err
