"""The help pages: verbs are listed without loading any; every verb is in the module of its name."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from onnxlens.cli.main import VERBS, cli
from tests.cli.calls import ROOT, onnxlens


def test_help_lists_every_verb_in_order_and_loads_none() -> None:
    program = (
        "import sys; from onnxlens.cli.main import run; run(['--help'])\n"
        "print([name for name in sys.modules if name.startswith('onnxlens.cli.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    *page, loaded = done.stdout.splitlines()
    listed = [line.split()[0] for line in page[page.index("Commands:") + 1 :] if line.strip()]
    assert listed == list(VERBS)
    assert loaded == "['onnxlens.cli.progress', 'onnxlens.cli.main']"


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_a_page_of_its_own_with_quiet(name: str) -> None:
    verb = cli.get_command(click.Context(cli), name)
    assert verb is not None
    assert verb.name == name
    page = onnxlens(name, "--help").out
    assert page.startswith(f"Usage: onnxlens {name} ")
    assert "-q, --quiet" in page


def test_an_unknown_verb_is_refused() -> None:
    outcome = onnxlens("profiel", "x.onnx")
    assert (outcome.code, outcome.out) == (2, "")
    assert "No such command 'profiel'" in outcome.err
