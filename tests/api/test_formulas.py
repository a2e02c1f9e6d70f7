"""Formulas equal the exact counts, to the digit, at sizes that had no part in finding them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from onnxlens.api.formula import formulas_of
from onnxlens.api.opened import OpenedTarget
from onnxlens.api.target import Settings
from onnxlens.errors import UsageError
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.loading import load_graph
from onnxlens.specs.formula import FORMULAS, FormulaReport, evaluated
from onnxlens.specs.ledger import Ledger
from tests.api.formula_nets import NETS, random_net, saved

LARGEST = 3000
LANGUAGE_MODELS = sorted((Path(__file__).parents[1] / "data" / "language_models").glob("*.onnx"))


def drawn(report: FormulaReport, count: int) -> Iterator[Mapping[str, int]]:
    """Sizes that the formulas hold for: small, middling and large ones."""
    draw = random.Random(count)
    for _ in range(count):
        yield {
            variable.name: variable.near(draw.randint(1, draw.choice([9, 100, LARGEST])))
            for variable in report.variables
        }


def require_equal(report: FormulaReport, ledger: Ledger, dims: Mapping[str, int]) -> None:
    sizes = report.sizes_at(dims)
    for row, module in zip(report.rows, ledger.modules, strict=True):
        names = [name for name in FORMULAS if not row.open_nodes or name == "macs"]
        given = [evaluated(row.formulas[name], sizes) for name in names]
        assert given == [getattr(module, name) for name in names], (row.key, dims)


@pytest.mark.parametrize("name", NETS)
def test_formulas_are_the_counts_of_a_new_reading(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, *NETS[name])
    report = formulas_of(path)
    assert not report.open_nodes
    for dims in drawn(report, 5):
        require_equal(report, build_ledger(load_graph(path, dims=dims)), dims)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(28))
def test_formulas_of_random_nets(tmp_path: Path, seed: int) -> None:
    path = saved(tmp_path, *random_net(seed))
    with OpenedTarget(path) as it:
        report = formulas_of(it)
        assert not report.open_nodes
        for dims in drawn(report, 100):
            require_equal(report, build_ledger(it.graph_at(dims)), dims)


@pytest.mark.slow
@pytest.mark.parametrize("path", LANGUAGE_MODELS, ids=lambda path: path.stem)
def test_formulas_of_language_models(path: Path) -> None:
    """All 100 points but those beyond a table's end, which are refused."""
    with OpenedTarget(path) as it:
        report = formulas_of(it)
        assert {node.op_type for node in report.open_nodes} <= {"QMoE", "MoE"}  # few tokens reach few experts
        whole = 0
        for dims in drawn(report, 100):
            try:
                report.sizes_at(dims)
            except UsageError as refusal:
                assert "a table ends there" in str(refusal)
                continue
            require_equal(report, build_ledger(it.graph_at(dims)), dims)
            whole += 1
        assert whole >= 30


def formula(path: Path, column: str, row: int = 0) -> str:
    return str(formulas_of(path).rows[row].formulas[column])


def test_two_products_of_attention(tmp_path: Path) -> None:
    """The projection: 8 x 8 weights; each of 2 products: 2 heads of 4, for every pair of positions."""
    found = formula(saved(tmp_path, *NETS["attention"]), "macs")
    assert found == "16*batch*length*(length + 4)"


def test_a_cache_is_read_with_the_new_keys(tmp_path: Path) -> None:
    found = formula(saved(tmp_path, *NETS["cache"]), "macs")
    assert found == "16*batch*new*(new + past)"  # 2 products, 2 heads of 4


def test_odd_sizes_are_rounded_as_the_graph_does(tmp_path: Path) -> None:
    report = formulas_of(saved(tmp_path, *NETS["odd sizes"]))
    told = {part.name: str(part) for part in report.parts}
    assert told["height_2"] == "floor((height + 1)/2)"  # floor((height + 2 - 3)/2) + 1
    # 27 weights for each of 3 channels, at half and at a quarter of the height and width
    assert str(report.rows[0].formulas["macs"]) == "81*batch*(height_2*width_2 + height_4*width_4)"


def test_a_length_in_blocks_is_a_multiple(tmp_path: Path) -> None:
    report = formulas_of(saved(tmp_path, *NETS["blocks of eight"]))
    (length,) = (variable for variable in report.variables if variable.name == "length")
    assert (length.step, length.rests, length.least) == (8, (0,), 8)


def test_a_table_ends_the_length(tmp_path: Path) -> None:
    report = formulas_of(saved(tmp_path, *NETS["a table of positions"]))
    assert str(report.variables[1]) == "length up to 77"


def test_data_have_no_formula(tmp_path: Path) -> None:
    nodes = "found = NonZero (x) few = Cast <to = 1> (found) y = Relu (few)"
    report = formulas_of(saved(tmp_path, "float[n, 4] x", nodes, {}))
    assert {node.op_type for node in report.open_nodes} >= {"Cast", "Relu"}
    assert report.rows[0].open_nodes == len(report.open_nodes)


def test_dimensions_are_chosen_or_fixed(tmp_path: Path) -> None:
    path = saved(tmp_path, *NETS["attention"])
    fixed = formulas_of(path, Settings(dims={"length": 10}))
    assert str(fixed.rows[0].formulas["macs"]) == "2240*batch"  # 16 * 10 * 14
    with pytest.raises(UsageError, match="length stays open; add --dim length or --dim length=SIZE"):
        formulas_of(path, variables=["batch"])
    with pytest.raises(UsageError, match="no dimension is open"):
        formulas_of(path, Settings(dims={"length": 10, "batch": 1}))
