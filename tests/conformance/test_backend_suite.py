"""Every model of ONNX's backend suite is profiled: nothing crashes, and no unknown cost is counted as 0."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.backend.test.loader import load_model_tests

from onnxlens.profile.count.facts import with_facts
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.loading import load_graph
from onnxlens.specs.groups import Parts
from onnxlens.specs.ledger import COUNTS, Ledger
from tests.profile.count.test_grouping import require_whole_groups

KINDS = ("node", "real", "simple", "pytorch-converted", "pytorch-operator")
FULLY_COUNTED = 0.97
"""Of the models, with the values of inputs that decide shapes: the suite gives axes and sizes as inputs."""

FULLY_COUNTED_BARE = 0.94
"""Of the models without those values, so that such shapes are unknown."""

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

REASONS = re.compile(
    r"the shape of '.*' is (unknown|dynamic: \(.*\))"  # it depends on the data
    r"|the element size of '.*' \(string\) is unknown"
    r"|.* (depends on|is known only at run time|does not hold).*"
)
"""Accepted reasons for unknown nodes; a missing or unfit rule is not among them."""


Values = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Model:
    """A file of the suite, and the values of its small integer inputs, as its first test runs it."""

    path: Path
    values: Values


def models(folder: Path) -> Iterator[Model]:
    """The files of the suite; a model that is made in memory is written."""
    for kind in KINDS:
        for case in load_model_tests(kind=kind):
            if case.model is not None:
                path = folder / f"{case.name}.onnx"
                path.write_bytes(case.model.SerializeToString())
                yield Model(path, deciding_values(case.model, case.data_sets[0][0]))
            elif case.model_dir is not None:
                yield Model(Path(case.model_dir) / "model.onnx", {})
            else:
                yield Model(LIGHT / Path(case.url).name, {})


def deciding_values(model: onnx.ModelProto, arrays: Sequence[object]) -> Values:
    """The values of inputs that may be axes, sizes, counts or conditions: integers, in a row at most."""
    return {
        tensor.name: array.reshape(-1).tolist()
        for tensor, array in zip(model.graph.input, arrays, strict=False)
        if isinstance(array, np.ndarray) and array.dtype.kind in "iub" and array.ndim < 2
    }


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Model]:
    return list(models(tmp_path_factory.mktemp("suite")))


@pytest.fixture(scope="module")
def ledgers(suite: Sequence[Model]) -> dict[str, Ledger]:
    """A ledger for each model without values: whatever profiling raises fails every test here."""
    graphs = {str(model.path): load_graph(model.path) for model in suite}
    return {path: with_facts(build_ledger(graph), graph) for path, graph in graphs.items()}


@pytest.fixture(scope="module")
def settled(suite: Sequence[Model], ledgers: dict[str, Ledger]) -> dict[str, Ledger]:
    """The same, with values where they may help."""
    open_ones = [model for model in suite if model.values and ledgers[str(model.path)].totals.unknown_nodes]
    found = {str(model.path): load_graph(model.path, values=model.values) for model in open_ones}
    return ledgers | {path: build_ledger(graph) for path, graph in found.items()}


# making some of the models divides by zero on purpose
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def test_the_whole_suite_is_there(ledgers: dict[str, Ledger]) -> None:
    assert len(ledgers) > 2000


def fully_counted(ledgers: dict[str, Ledger]) -> int:
    return sum(ledger.totals.unknown_nodes == 0 for ledger in ledgers.values())


def test_nearly_all_models_are_fully_counted(
    ledgers: dict[str, Ledger], settled: dict[str, Ledger], capsys: pytest.CaptureFixture[str]
) -> None:
    bare, with_values = fully_counted(ledgers), fully_counted(settled)
    with capsys.disabled():
        print(
            f"\nof {len(ledgers)} models of ONNX's backend suite {with_values} are fully counted "
            f"({with_values / len(ledgers):.1%}); {bare} without the values of inputs that decide shapes"
        )
    assert with_values / len(ledgers) >= FULLY_COUNTED
    assert bare / len(ledgers) >= FULLY_COUNTED_BARE


def test_what_is_unknown_says_why(ledgers: dict[str, Ledger], settled: dict[str, Ledger]) -> None:
    every = (*ledgers.values(), *settled.values())
    unknown = [node for ledger in every for node in ledger.nodes if node.status == "unknown"]
    others = Counter(node.reason for node in unknown if not REASONS.fullmatch(node.reason))
    assert not others


def test_every_node_has_one_status_and_free_nodes_cost_nothing(ledgers: dict[str, Ledger]) -> None:
    for path, ledger in ledgers.items():
        for node in ledger.nodes:
            assert node.status in ("counted", "free", "unknown"), path
            if node.status == "free":
                assert (node.flops, node.moved_bytes) == (0, 0), (path, node)


def test_own_costs_of_modules_add_up_to_the_totals(ledgers: dict[str, Ledger]) -> None:
    for path, ledger in ledgers.items():
        owned = Parts(ledger).own.values()
        for name in (*COUNTS, "params", "unknown_nodes"):
            assert sum(getattr(own, name) for own in owned) == getattr(ledger.totals, name), (path, name)


def test_every_grouping_adds_up_to_the_totals(ledgers: dict[str, Ledger]) -> None:
    for ledger in ledgers.values():
        require_whole_groups(ledger)
