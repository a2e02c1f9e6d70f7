"""Which inputs are caches: by what reads them first, by their names second, or as the user says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from onnxlens.errors import UsageError
from onnxlens.profile.graph.caches import find_caches
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading.loader import LoadedFile
from onnxlens.profile.graph.phase_axes import positions_of
from tests.profile.language_nets import SMALL, language_model

PAST, PRESENT = ["b", 2, "past", 4], ["b", 2, "past + s", 4]
Value = tuple[str, Sequence[int | str]]


def declared(
    folder: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[Value],
    outputs: list[Value],
    weights: Sequence[onnx.TensorProto] = (),
) -> Graph:
    def values(given: list[Value]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in given]

    graph = helper.make_graph(nodes, "made", values(inputs), values(outputs), weights)
    opsets = [
        helper.make_opsetid(name, number) for name, number in (("", 22), ("acme", 1), ("com.microsoft", 1))
    ]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), folder / "made.onnx")
    return LoadedFile(folder / "made.onnx").declared()


def test_an_attention_operator_says_where_its_caches_are(tmp_path: Path) -> None:
    graph = LoadedFile(language_model(tmp_path)).declared()
    caches = find_caches(graph)
    assert [cache.tensor.name for cache in caches] == [
        f"past_key_values.{layer}.{each}" for layer in range(SMALL.layers) for each in ("key", "value")
    ]
    assert {(cache.kind, cache.found_by, cache.operator) for cache in caches} == {
        ("growing", "operator", "GroupQueryAttention")
    }
    assert [cache.output for cache in caches][:2] == ["present.0.key", "present.0.value"]
    assert {(cache.batch_axis, cache.length_axis) for cache in caches} == {(0, 2)}


def test_a_concatenation_that_is_handed_on_is_a_cache_whatever_its_name(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["a"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["wide", "new"], ["grown"], axis=2),
        helper.make_node("Identity", ["grown"], ["b"]),
        helper.make_node("Concat", ["other", "new"], ["inside"], axis=2),
        helper.make_node("Relu", ["inside"], ["y"]),
    ]
    new: Value = ("new", ["b", 2, "s", 4])
    graph = declared(tmp_path, nodes, [("a", PAST), new, ("other", PAST)], [("b", PRESENT), ("y", PRESENT)])
    (cache,) = find_caches(graph)
    assert (cache.tensor.name, cache.output, cache.operator) == ("a", "b", "Concat")
    assert (cache.kind, cache.length_axis) == ("growing", 2)


def constant(name: str, number: int) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value_ints=[number])


@pytest.mark.parametrize(
    ("start", "end", "step", "window"),
    [(-3, 2**31 - 1, None, 3), (-3, 2**63 - 1, 1, 3), (-3, -1, None, None), (-3, 2**31 - 1, 2, None),
     (1, 2**31 - 1, None, None)],
)  # fmt: skip
def test_a_cache_whose_last_rows_are_handed_on_slides(
    tmp_path: Path, start: int, end: int, step: int | None, window: int | None
) -> None:
    numbers = {"start": start, "end": end, "axis": 2, **({} if step is None else {"step": step})}
    nodes = [
        *(constant(name, number) for name, number in numbers.items()),
        helper.make_node("Concat", ["past_a", "new"], ["grown"], axis=2),
        helper.make_node("Slice", ["grown", *numbers], ["present_a"]),
    ]
    kept = ("present_a", ["b", 2, "kept", 4])
    graph = declared(tmp_path, nodes, [("past_a", PAST), ("new", ["b", 2, "s", 4])], [kept])
    (cache,) = find_caches(graph)
    assert (cache.output, cache.kind, cache.window) == ("present_a", "growing", window)


def test_a_state_behind_those_before_it_has_its_sequences_second(tmp_path: Path) -> None:
    state = [3, "b", 2, 4, 4]
    node = helper.make_node(
        "LinearAttention", ["x", "x", "x", "s_in"], ["y", "s_out"], domain="com.microsoft",
        q_num_heads=2, kv_num_heads=2, update_rule="linear", state_window=3,
    )  # fmt: skip
    tokens: Value = ("x", ["b", "s", 8])
    graph = declared(tmp_path, [node], [tokens, ("s_in", state)], [("y", tokens[1]), ("s_out", state)])
    (cache,) = find_caches(graph)
    assert (cache.kind, cache.batch_axis, cache.length_axis) == ("state", 1, None)


def test_keys_of_four_dimensions_are_those_of_another_sequence(tmp_path: Path) -> None:
    node = helper.make_node("MultiHeadAttention", ["q", "k", "v"], ["y"], domain="com.microsoft", num_heads=2)
    rows: Sequence[int | str] = ["b", 2, 30, 4]
    graph = declared(
        tmp_path, [node], [("q", ["b", "s", 8]), ("k", rows), ("v", rows)], [("y", ["b", "s", 8])]
    )
    assert [(cache.tensor.name, cache.kind, cache.output) for cache in find_caches(graph)] == [
        ("k", "cross", ""), ("v", "cross", ""),
    ]  # fmt: skip


UNKNOWN = helper.make_node(
    "Attend",
    ["x", "past_key_values.0.key", "past.0.conv"],
    ["y", "present.0.key", "present.0.conv"],
    domain="acme",
)


def unknown_operator(folder: Path) -> Graph:
    state: Sequence[int | str] = ["b", 8, 2]
    inputs: list[Value] = [("x", ["b", "s", 8]), ("past_key_values.0.key", PAST), ("past.0.conv", state)]
    outputs: list[Value] = [("y", ["b", "s", 8]), ("present.0.key", PRESENT), ("present.0.conv", state)]
    return declared(folder, [UNKNOWN], inputs, outputs)


def test_behind_an_unknown_operator_the_names_tell(tmp_path: Path) -> None:
    key, conv = find_caches(unknown_operator(tmp_path))
    assert (key.kind, key.found_by, key.output, key.length_axis) == ("growing", "name", "present.0.key", 2)
    assert (conv.kind, conv.output, conv.length_axis) == ("state", "present.0.conv", None)


def test_a_pattern_decides_alone(tmp_path: Path) -> None:
    (cache,) = find_caches(unknown_operator(tmp_path), r"\.key$")
    assert (cache.tensor.name, cache.found_by) == ("past_key_values.0.key", "pattern")


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("nothing", "matches no input of made.onnx; its inputs are x, past_key_values"),
        ("(", "no regular expression"),
    ],
)
def test_a_pattern_that_is_none_is_refused(tmp_path: Path, pattern: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        find_caches(unknown_operator(tmp_path), pattern)


def test_a_name_alone_is_no_cache_where_nothing_is_handed_on(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["cache_of_maps"], ["y"])]
    assert find_caches(declared(tmp_path, nodes, [("cache_of_maps", PAST)], [("y", PAST)])) == ()


@pytest.mark.parametrize(
    ("operator", "domain", "reads"),
    [
        ("RotaryEmbedding", "", ["x", "cos", "sin", "at"]),
        ("RotaryEmbedding", "com.microsoft", ["x", "at", "cos", "sin"]),
        ("MRotaryEmbedding", "com.microsoft", ["x", "at", "cos", "sin"]),
    ],
)
def test_a_table_of_cosines_says_how_many_positions_there_are(
    operator: str, domain: str, reads: list[str], tmp_path: Path
) -> None:
    tables = [helper.make_tensor(name, TensorProto.FLOAT, [40, 2], [0.0] * 80) for name in ("cos", "sin")]
    node = helper.make_node(operator, reads, ["y"], domain=domain)
    inputs: list[Value] = [("x", [1, 2, 3, 4]), ("at", [1, 3])]
    assert positions_of(declared(tmp_path, [node], inputs, [("y", [1, 2, 3, 4])], tables)) == 40
