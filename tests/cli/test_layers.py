"""``check --layers``: what it prints, its exit codes, and which options belong to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.calls import done, onnxlens
from tests.faults import plant, wrong_epsilon
from tests.trust import TINY


def test_a_sound_file_exits_with_0(tiny: Path) -> None:
    assert done("check", tiny, *TINY, "--layers").endswith("all modules agree\n")
    document = json.loads(done("check", tiny, *TINY, "--layers", "--memory", "64 KiB", "--format", "json"))
    assert (document["schema"], document["passed"], document["samples"]) == ("onnxlens.layers/1", True, 1)
    assert "guilty" not in document


def test_a_fault_exits_with_1_and_is_written_to_the_requested_folder(tiny_copy: Path, tmp_path: Path) -> None:
    plant(tiny_copy, wrong_epsilon, "norm")
    arguments = (
        "check",
        tiny_copy,
        *TINY,
        "--layers",
        "--stop",
        "--samples",
        2,
        "--reproduce",
        tmp_path / "out",
    )
    outcome = onnxlens(*arguments)
    assert outcome.code == 1
    assert outcome.out.splitlines()[-1].startswith(
        "FIRST DIVERGING MODULE: norm (GroupNorm), which produces "
    )
    assert outcome.err == f"onnxlens: wrote {tmp_path / 'out'}\n"
    assert (tmp_path / "out" / "norm.onnx").is_file()
    document = json.loads(onnxlens(*arguments, "--format", "json").out)
    assert (document["guilty"], document["stopped"], document["samples"]) == ("norm", True, 2)


def test_nothing_to_reproduce_is_reported(tiny: Path, tmp_path: Path) -> None:
    outcome = onnxlens("check", tiny, *TINY, "--layers", "--reproduce", tmp_path / "out")
    assert (outcome.code, outcome.err) == (
        0, "onnxlens: no module diverges by itself: nothing to reproduce\n",
    )  # fmt: skip
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stop"], "--stop is of --layers; give that too"),
        (["--memory", "1GiB"], "--memory is of --layers; give that too"),
        (["--samples", "2"], "--samples is of --layers; give that too"),
        (["--layers", "--memory", "much"], "'much' is not a size; give 4GiB, 512MiB or bytes"),
        (["--layers", "--memory", "0"], "in 0 bytes of memory; take at least one of each"),
        (["--layers", "--memory", "100"], "--memory allows 100; allow more"),
        (["--layers", "--samples", "0"], "--samples"),
        (["--layers", "--tolerance", "0"], "is not in the range x>0"),
        (["--layers", "--against", "unoptimised"], "--layers compares with PyTorch; leave --against out"),
    ],
)
def test_what_cannot_be_checked_is_refused(arguments: list[str], message: str, tiny: Path) -> None:
    outcome = onnxlens("check", tiny, *TINY, *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
