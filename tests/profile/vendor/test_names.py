"""The tables of naming rules: each is read, and a rule that does nothing is found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from onnxlens.errors import GraphError
from onnxlens.profile.count.families import of_operator
from onnxlens.profile.runtime.source_match import originals
from onnxlens.profile.vendor.names import MOST_FORMS, NAMING, _naming, naming_of
from onnxlens.profile.vendor.readers import readers

TABLES = sorted(path.stem for path in NAMING.glob("*.toml"))


@pytest.mark.parametrize("tool", TABLES)
def test_a_table_says_what_it_is_of(tool: str) -> None:
    naming = naming_of(tool)
    assert naming.doc and naming.names
    assert list(naming.forms("anything"))[0] == "anything"


def test_every_reader_has_its_table() -> None:
    assert set(readers()) <= set(TABLES)


@pytest.mark.parametrize("tool", ["", "..", "../names", "of-a-user", "a/b", "x" * 300])
def test_other_tools_have_the_general_table(tool: str) -> None:
    assert naming_of(tool) == naming_of("plain")


@pytest.mark.parametrize(
    "table", [{"names": ["node"]}, {"doc": "", "names": ["knot"]}, {"doc": "", "names": [], "stripp": []}]
)
def test_a_wrong_table_is_refused_with_what_it_may_have(table: dict[str, object]) -> None:
    with pytest.raises(GraphError, match=r"mine\.toml: .*expected doc"):
        _naming("mine.toml", table)


def test_the_nearest_form_of_a_name_comes_first_and_there_are_not_too_many() -> None:
    forms = list(naming_of("rknn").forms("node_a#2_tile1"))
    assert forms[:3] == ["node_a#2_tile1", "node_a#2", "node_a"]
    long = list(naming_of("tpu-mlir").forms("load_" + "_f16_0" * 500))
    assert len(long) <= MOST_FORMS


def test_rules_of_onnx_runtime_are_those_of_its_own_provenance() -> None:
    """One table: what the runtime's nodes are traced back by is what its profile is read by."""
    name = "fused InsertedPrecisionFreeCast_conv_token_3_bn_nchwc"
    steps = list(originals(name))
    assert steps[-1] == "conv"
    assert steps == [form for form in naming_of("onnxruntime").forms(name) if form in steps]


@pytest.mark.parametrize("operator", ["LSTM", "GRU", "RNN"])
def test_openvino_names_its_recurrent_layers_after_none_of_ours(operator: str) -> None:
    assert naming_of("openvino").operators_of(f"{operator}Sequence") == {of_operator("", operator)}


def test_patterns_need_no_backtracking_over_long_names() -> None:
    """A name of 10,000 characters is no name of the graph, and found to be none at once."""
    from time import process_time

    start = process_time()
    for tool in TABLES:
        naming = naming_of(tool)
        for text in ("_" * 10_000, "a_1" * 3_000, "Conv:" * 2_000, "PWN(" * 2_500, "[ONNX Layer: " * 800):
            for piece in naming.pieces(text):
                list(naming.forms(piece))
    assert process_time() - start < 60


def test_tables_come_with_the_package() -> None:
    setup = (Path(__file__).parents[3] / "setup.cfg").read_text(encoding="utf-8")
    assert re.search(r"^onnxlens\.profile\.vendor = naming/\*\.toml$", setup, re.M)
