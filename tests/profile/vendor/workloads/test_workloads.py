"""The files for cost models have the MACs that are counted, read by the tools' own formulas."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from math import ceil, prod
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from onnx import TensorProto

import onnxlens
from onnxlens.errors import UsageError
from onnxlens.profile.vendor.workloads.lookup import workload_of
from onnxlens.specs.workload import WORKLOAD_FORMATS, Workload
from tests.profile.models import ledger_of, op, save, save_net, value, weight

SCHEMAS = Path(__file__).parents[4] / "docs" / "schemas"

Macs = Callable[[Workload, str, str], int]


def scalesim_macs(made: Workload, file: str, layer: str) -> int:
    """As topology_utils.topo_calc_hyperparams computes them: ofmap x window x filters."""
    rows = [line.split(",")[:-1] for line in made.texts[file].splitlines()[1:]]
    ((high, wide, taps_high, taps_wide, channels, filters, stride),) = (
        map(int, row[1:]) for row in rows if row[0] == layer
    )
    assert (
        taps_high <= high and taps_wide <= wide and "DP" not in layer
    )  # else the tool refuses or repeats it
    out_high = ceil((high - taps_high + stride) / stride)
    out_wide = ceil((wide - taps_wide + stride) / stride)
    return out_high * out_wide * taps_high * taps_wide * channels * filters


EQUATION = re.compile(r"O((?:\[\w+\])+)\+=(\w)((?:\[\w+\])+)\*(\w)((?:\[\w+\])+)")


def zigzag_macs(made: Workload, file: str, layer: str) -> int:
    """The product of the loops; every index of the equation is a loop, or is made of loops."""
    (found,) = (each for each in yaml.safe_load(made.texts[file]) if each["name"] == layer)
    loops = dict(zip(found["loop_dims"], found["loop_sizes"], strict=True))
    match = EQUATION.fullmatch(found["equation"])
    assert match and {match[2], match[4]} == {"W", "I"}
    made_of = {relation.split("=")[0] for relation in found["dimension_relations"]}
    indices = set(re.findall(r"\w+", match[1] + match[3] + match[5]))
    assert {each.upper() for each in indices - made_of} == set(loops)
    assert all(source <= found["id"] for source in found["operand_source"].values())
    return prod(loops.values())


def timeloop_macs(made: Workload, file: str, layer: str) -> int:
    """The product of the instance's loops, after the file is checked as Timeloop parses it."""
    problem = yaml.safe_load(made.texts[file])["problem"]
    shape, instance = problem["shape"], problem["instance"]
    assert problem["version"] == 0.4 and set(problem) == {"version", "shape", "instance"}
    assert set(shape) - {"coefficients"} == {"name", "dimensions", "data_spaces"}
    dimensions = shape["dimensions"]
    assert all(len(each) == 1 for each in dimensions)  # longer names are refused
    coefficients = {each["name"]: each["default"] for each in shape.get("coefficients", ())}
    assert set(instance) == {*dimensions, *coefficients}
    for space in shape["data_spaces"]:
        terms = [term for index in space["projection"] for term in index]
        assert {term[0] for term in terms} <= set(dimensions)
        assert {term[1] for term in terms if len(term) == 2} <= set(coefficients)
    assert [space.get("read_write", False) for space in shape["data_spaces"]] == [False, False, True]
    written = {term[0] for index in shape["data_spaces"][-1]["projection"] for term in index}
    read = {t[0] for space in shape["data_spaces"][:-1] for index in space["projection"] for t in index}
    assert written <= read == set(dimensions)
    return prod(instance[each] for each in dimensions)


MACS: Mapping[str, Macs] = {"scalesim": scalesim_macs, "zigzag": zigzag_macs, "timeloop": timeloop_macs}


def made_of(path: Path, chosen: Any) -> Workload:
    graph, ledger = ledger_of(path)
    made = workload_of(graph, ledger.nodes, chosen)
    for layer in made.layers:
        assert MACS[chosen](made, layer.file, layer.layer) == layer.macs_each
    assert made.written_macs + made.refused_macs == made.macs
    return made


def one(
    tmp_path: Path, op_type: str, out: Sequence[int], *inputs: Sequence[int], **attributes: Any
) -> Callable[[str], Workload]:
    """A graph of one node; all inputs but the first are weights."""
    names = [f"w{index}" for index in range(1, len(inputs))]
    node = op(op_type, " ".join(["x", *names]), "y", **attributes)
    weights = [weight(name, *shape) for name, shape in zip(names, inputs[1:], strict=True)]
    path = save(tmp_path, [node], [value("x", inputs[0])], [value("y", out)], weights)
    return lambda chosen: made_of(path, chosen)


@pytest.mark.parametrize("chosen", WORKLOAD_FORMATS)
def test_a_network_is_written_whole(tmp_path: Path, chosen: str) -> None:
    made = made_of(save_net(tmp_path), chosen)
    # stem 3x3 on 8x8: 4 x 64 x 27; the block's 1x1: 4 x 64 x 4; the head: 2 x 4
    assert made.written_macs == made.macs == 4 * 64 * 27 + 4 * 64 * 4 + 2 * 4
    assert [layer.module for layer in made.layers] == ["stem", "body.0.conv", "head"]


@pytest.mark.parametrize("chosen", WORKLOAD_FORMATS)
def test_groups_images_strides_and_padding(tmp_path: Path, chosen: str) -> None:
    made = one(
        tmp_path, "Conv", (2, 8, 5, 3), (2, 6, 9, 5), (8, 3, 3, 3),
        group=2, strides=[2, 2], pads=[1] * 4,
    )(chosen)  # fmt: skip
    assert made.macs == 2 * 8 * 15 * 27 and not made.refused


def test_scalesim_runs_groups_and_images_one_by_one(tmp_path: Path) -> None:
    made = one(tmp_path, "Conv", (2, 6, 8, 8), (2, 6, 8, 8), (6, 1, 3, 3), group=6, pads=[1] * 4)("scalesim")
    # a padded image of one channel with one filter, for 2 images x 6 channels
    assert made.texts["made.csv"].splitlines()[1] == "node_y, 10, 10, 3, 3, 1, 1, 1,"
    assert [layer.times for layer in made.layers] == [12]


def test_the_kernel_lies_as_in_onnx(tmp_path: Path) -> None:
    case = one(tmp_path, "Conv", (1, 4, 8, 6), (1, 3, 8, 12), (4, 3, 1, 7), strides=[1, 1])
    assert case("scalesim").texts["made.csv"].splitlines()[1] == "node_y, 8, 12, 1, 7, 3, 4, 1,"
    (layer,) = yaml.safe_load(case("zigzag").texts["made.yaml"])
    loops = dict(zip(layer["loop_dims"], layer["loop_sizes"], strict=True))
    assert (loops["OY"], loops["OX"], loops["FY"], loops["FX"]) == (8, 6, 1, 7)
    assert (layer["pr_loop_dims"], layer["pr_loop_sizes"]) == (["IX", "IY"], [12, 8])
    (text,) = case("timeloop").texts.values()
    instance = yaml.safe_load(text)["problem"]["instance"]
    assert [instance[each] for each in "QPSR"] == [8, 6, 1, 7]


@pytest.mark.parametrize("chosen", WORKLOAD_FORMATS)
def test_a_convolution_along_one_axis(tmp_path: Path, chosen: str) -> None:
    made = one(tmp_path, "Conv", (1, 4, 10), (1, 3, 12), (4, 3, 3))(chosen)
    assert made.macs == 4 * 10 * 9 and not made.refused


def test_what_a_format_cannot_say_is_refused(tmp_path: Path) -> None:
    dilated = one(tmp_path, "Conv", (1, 4, 4, 4), (1, 3, 8, 8), (4, 3, 3, 3), dilations=[2, 2])
    assert "dilation 2 x 2" in dilated("scalesim").refused["node_y"]
    assert not dilated("zigzag").refused and not dilated("timeloop").refused
    uneven = one(tmp_path, "Conv", (1, 4, 6, 3), (1, 3, 8, 8), (4, 3, 3, 3), strides=[1, 2])
    assert "strides 1 x 2" in uneven("scalesim").refused["node_y"]
    solid = one(tmp_path, "Conv", (1, 4, 2, 2, 2), (1, 3, 4, 4, 4), (4, 3, 3, 3, 3))
    for chosen in WORKLOAD_FORMATS:
        made = solid(chosen)
        assert "3 axes" in made.refused["node_y"] and made.refused_macs == made.macs == 4 * 8 * 81


def test_a_stride_along_a_single_position_is_none(tmp_path: Path) -> None:
    made = one(tmp_path, "Conv", (1, 4, 1, 3), (1, 3, 3, 7), (4, 3, 3, 3), strides=[4, 2])("scalesim")
    assert made.texts["made.csv"].splitlines()[1] == "node_y, 3, 7, 3, 3, 3, 4, 2,"


@pytest.mark.parametrize("chosen", WORKLOAD_FORMATS)
def test_a_transposed_convolution_multiplies_every_position_by_all_taps(tmp_path: Path, chosen: str) -> None:
    made = one(
        tmp_path, "ConvTranspose", (2, 8, 11, 14), (2, 6, 5, 7), (6, 4, 3, 2), group=2, strides=[2, 2]
    )(chosen)
    assert made.macs == 2 * 6 * 35 * 4 * 6 and not made.refused


@pytest.mark.parametrize("chosen", WORKLOAD_FORMATS)
def test_products_of_attention_lead_back_to_their_node(tmp_path: Path, chosen: str) -> None:
    shapes = [(2, 8, 5, 16), (2, 2, 6, 16), (2, 2, 6, 16)]
    node = op("Attention", "q k v", "y", "attn")
    inputs = [value(name, shape) for name, shape in zip("qkv", shapes, strict=True)]
    path = save(tmp_path, [node], inputs, [value("y", (2, 8, 5, 16))], opsets={"": 23})
    made = made_of(path, chosen)
    # 2 images x 2 key heads: 4 query heads of 5 rows each on 6 keys of 16, and back
    assert [layer.macs for layer in made.layers] == [4 * 20 * 16 * 6, 4 * 20 * 6 * 16]
    assert [layer.layer for layer in made.layers] == ["node_y#1", "node_y#2"]
    assert {layer.node for layer in made.layers} == {"node_y"}


def test_zigzag_knows_which_layer_makes_an_operand(tmp_path: Path) -> None:
    nodes = [
        op("MatMul", "x w", "a"),
        op("Relu", "a", "b"),
        op("MatMul", "x v", "c"),
        op("MatMul", "b c", "y"),
    ]
    weights = [weight("w", 4, 4), weight("v", 4, 4)]
    path = save(
        tmp_path, nodes, [value("x", (4, 4))], [value("y", (4, 4))], weights,
        between=[value(name, (4, 4)) for name in "abc"],
    )  # fmt: skip
    layers = yaml.safe_load(made_of(path, "zigzag").texts["made.yaml"])
    sources = [layer["operand_source"] for layer in layers]
    assert sources == [{"W": 0, "I": 0}, {"W": 1, "I": 1}, {"W": 1, "I": 0}]


@pytest.mark.parametrize("chosen", WORKLOAD_FORMATS)
def test_names_that_a_tool_misreads_are_numbers(tmp_path: Path, chosen: str) -> None:
    nodes = [op("MatMul", "x w", "a"), op("MatMul", "a w", "b"), op("MatMul", "b w", "y")]
    for node, name in zip(nodes, ("DPT/proj, 1", "a/b\n", "a_b"), strict=True):
        node.name = name
    path = save(
        tmp_path, nodes, [value("x", (4, 4))], [value("y", (4, 4))], [weight("w", 4, 4)],
        between=[value(name, (4, 4)) for name in "ab"],
    )  # fmt: skip
    made = made_of(path, chosen)
    assert len({layer.layer for layer in made.layers}) == 3
    assert [layer.node for layer in made.layers] == ["DPT/proj, 1", "a/b\n", "a_b"]


def test_a_loop_runs_its_layers_as_often(tmp_path: Path) -> None:
    from onnx import helper

    body = helper.make_graph(
        [op("MatMul", "held w", "next"), op("Identity", "go", "goes")],
        "body",
        [value("i", (), TensorProto.INT64), value("go", (), TensorProto.BOOL), value("held", (4, 4))],
        [value("goes", (), TensorProto.BOOL), value("next", (4, 4))],
    )
    from tests.profile.models import integers

    node = op("Loop", "n - x", "y", body=body)
    path = save(
        tmp_path, [node], [value("x", (4, 4))], [value("y", (4, 4))], [integers("n", 7), weight("w", 4, 4)]
    )
    (layer,) = made_of(path, "zigzag").layers
    assert (layer.times, layer.macs_each) == (7, 64)


def test_files_are_published_with_what_leads_back(tmp_path: Path) -> None:
    path = save_net(tmp_path)
    onnxlens.write_workload(str(path), tmp_path / "out", "timeloop")
    assert sorted(file.name for file in (tmp_path / "out").rglob("*") if file.is_file()) == [
        "0001-node_a.yaml", "0002-node_c.yaml", "0003-node_y.yaml", "made.timeloop.json",
    ]  # fmt: skip
    index = json.loads((tmp_path / "out" / "made.timeloop.json").read_text())
    Draft202012Validator(json.loads((SCHEMAS / "workload.schema.json").read_text())).validate(index)
    assert index["written_macs"] == index["macs"] and not index["refused"]


def test_nothing_to_write_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, [op("Relu", "x", "y")], [value("x", (4,))], [value("y", (4,))])
    with pytest.raises(UsageError, match="no node has MACs"):
        onnxlens.write_workload(str(path), tmp_path / "out", "zigzag")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="choose one of scalesim, zigzag, timeloop"):
        onnxlens.write_workload(str(path), tmp_path / "out", "maestro")  # type: ignore[arg-type]
