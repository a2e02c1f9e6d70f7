"""Every model of ONNX's own backend suite is profiled: nothing crashes, and nothing is silently 0."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from onnx.backend.test.loader import load_model_tests

from onnxlens.profile.ledger import build_ledger
from onnxlens.profile.loading import load_graph
from onnxlens.specs.ledger import Ledger

KINDS = ("node", "real", "simple", "pytorch-converted", "pytorch-operator")
FULLY_COUNTED = 0.94
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

REASONS = re.compile(
    r"the shape of '.*' is (unknown|dynamic: \(.*\))"  # it depends on the data
    r"|the element size of '.*' \(string\) is unknown"
    r"|.* (depends on|is decided at run time|does not hold).*"
)
"""What a model of the suite may be unknown for; a rule that is missing or does not fit is none of it."""


def models(folder: Path) -> Iterator[Path]:
    """The files of the suite; a model that is made in memory is written."""
    for kind in KINDS:
        for case in load_model_tests(kind=kind):
            if case.model is not None:
                path = folder / f"{case.name}.onnx"
                path.write_bytes(case.model.SerializeToString())
                yield path
            elif case.model_dir is not None:
                yield Path(case.model_dir) / "model.onnx"
            else:
                yield LIGHT / Path(case.url).name


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ledger]:
    """A ledger for each model, by its path: whatever profiling raises fails every test here."""
    folder = tmp_path_factory.mktemp("suite")
    return {str(path): build_ledger(load_graph(path)) for path in models(folder)}


# making some of the models divides by zero on purpose
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def test_the_whole_suite_is_there(ledgers: dict[str, Ledger]) -> None:
    assert len(ledgers) > 2000


def test_nearly_all_models_are_fully_counted(
    ledgers: dict[str, Ledger], capsys: pytest.CaptureFixture[str]
) -> None:
    counted = sum(ledger.totals.unknown_nodes == 0 for ledger in ledgers.values())
    with capsys.disabled():
        print(f"\n{counted} of {len(ledgers)} models of ONNX's backend suite are fully counted", end=" ")
    assert counted / len(ledgers) >= FULLY_COUNTED


def test_what_is_unknown_says_why(ledgers: dict[str, Ledger]) -> None:
    unknown = [node for ledger in ledgers.values() for node in ledger.nodes if node.status == "unknown"]
    others = Counter(node.reason for node in unknown if not REASONS.fullmatch(node.reason))
    assert not others


def test_every_node_has_one_status_and_free_nodes_cost_nothing(ledgers: dict[str, Ledger]) -> None:
    for path, ledger in ledgers.items():
        for node in ledger.nodes:
            assert node.status in ("counted", "free", "unknown"), path
            if node.status == "free":
                assert (node.flops, node.moved_bytes) == (0, 0), (path, node)
