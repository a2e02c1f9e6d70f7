"""Attention in files: lengths that follow from shapes or that the user gives, and what operators return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.specs.ledger import NodeCost
from tests.profile.models import Dims, integers, op, save, value

OPSETS = {"": 18, "com.microsoft": 1}
INT32, INT8, BYTE, BOOL = TensorProto.INT32, TensorProto.INT8, TensorProto.UINT8, TensorProto.BOOL
HEADS = {"num_heads": 4, "kv_num_heads": 2}
SCORE = 4 * 2 * 8  # the MACs of a score in 4 heads of 8


def microsoft(op_type: str, inputs: Sequence[str], outputs: str, **attributes: Any) -> NodeProto:
    return helper.make_node(op_type, inputs, outputs.split(), domain="com.microsoft", **attributes)


def grouped(folder: Path, cache: Dims, made: Dims | None, *, dtype: int = 1, **attributes: Any) -> Path:
    """One token of one sequence; the number of all keys is the length of a mask."""
    nodes = [
        op("Shape", "mask", "shape"),
        op("Gather", "shape second", "length"),
        op("Cast", "length", "total", to=INT32),
        microsoft(
            "GroupQueryAttention", ["q", "", "", "pk", "pv", "n", "total"], "y nk nv", **HEADS | attributes
        ),
    ]
    known = [value("y", (1, 1, 32)), value("nk", made, dtype), value("nv", made, dtype)]
    between = [value("shape", (2,), 7), value("length", (), 7), value("total", (), INT32)]
    return save(
        folder,
        nodes,
        [
            value("q", (1, 1, 64)), value("mask", (1, "total_length"), 7), value("n", (1,), INT32),
            value("pk", cache, dtype), value("pv", cache, dtype),
        ],
        known if made else [value("y", (1, 1, 32)), value("nk", None, dtype), value("nv", None, dtype)],
        weights=[integers("second", 1)],
        between=between,
        opsets=OPSETS,
    )  # fmt: skip


def counted(path: Path, op_type: str, **given: Any) -> tuple[Graph, NodeCost]:
    graph = load_graph(path, **given)
    (cost,) = (cost for cost in build_ledger(graph).nodes if cost.op_type == op_type)
    return graph, cost


def test_a_buffer_holds_as_many_keys_as_a_mask_is_long(tmp_path: Path) -> None:
    """Although the file says all types, so that nothing has to be inferred."""
    path = grouped(tmp_path, (1, 2, 40, 8), (1, 2, 40, 8))
    _, cost = counted(path, "GroupQueryAttention", shapes={"mask": (1, 11)})
    assert cost.macs == 11 * SCORE
    # q, 10 earlier rows of keys and of values, a length and a total
    assert cost.read_bytes == 4 * 64 + 2 * 10 * 2 * 8 * 4 + 8
    assert cost.write_bytes == 4 * 32 + 2 * 2 * 8 * 4


def test_lengths_may_be_given_as_values(tmp_path: Path) -> None:
    path = grouped(tmp_path, (1, 2, 40, 8), (1, 2, 40, 8))
    _, cost = counted(path, "GroupQueryAttention", shapes={"mask": (1, 30)}, values={"n": [4]})
    assert cost.macs == 5 * SCORE


def in_a_buffer(folder: Path, mask: Dims | None) -> Path:
    """A token whose place in a buffer of 40 is an input."""
    names = ["q", "q", "q", "", "mask" if mask else "", "", "pk", "pv", "before"]
    node = microsoft("MultiHeadAttention", names, "y nk nv", num_heads=4)
    cache = (1, 4, 40, 8)
    inputs = [value("q", (1, 1, 32)), value("pk", cache), value("pv", cache), value("before", (1,), INT32)]
    inputs += [value("mask", mask, INT32)] if mask else []
    outputs = [value("y", (1, 1, 32)), value("nk", cache), value("nv", cache)]
    return save(folder, [node], inputs, outputs, opsets=OPSETS)


@pytest.mark.parametrize(
    ("mask", "given", "keys"),
    [(None, {}, 40), (None, {"values": {"before": [8]}}, 9), ((1, 7), {}, 7)],
    ids=["unknown", "given", "masked"],
)
def test_a_buffer_of_which_nobody_knows_how_much_is_in_use_is_noted(
    tmp_path: Path, mask: Dims | None, given: dict[str, Any], keys: int
) -> None:
    ledger = build_ledger(load_graph(in_a_buffer(tmp_path, mask), **given))
    assert ledger.totals.macs == keys * SCORE
    notes = [note for note in ledger.notes if note.startswith("caches: ")]
    assert notes == [
        "caches: all keys of a buffer count, as how many are in use is known at run time only, "
        "from 'before'; --value NAME=N fixes an input"
    ] * (keys == 40)


def test_a_window_of_a_buffer(tmp_path: Path) -> None:
    path = grouped(tmp_path, (1, 2, 6, 8), None, local_window_size=4, sliding_window_cache=1)
    graph, cost = counted(path, "GroupQueryAttention", shapes={"mask": (1, 30)})
    assert graph.nodes[-1].view.output_shape(1) == (1, 2, 6, 8)
    assert cost.macs == 4 * SCORE
    assert cost.read_bytes == 4 * 64 + 2 * 3 * 2 * 8 * 4 + 8


@pytest.mark.parametrize(("dtype", "width", "row"), [(INT8, 8, 16), (BYTE, 4, 8)], ids=["8", "4 bits"])
def test_a_quantized_cache_grows_as_it_is_stored(tmp_path: Path, dtype: int, width: int, row: int) -> None:
    types = {"k_quant_type": "PER_TENSOR", "v_quant_type": "PER_TENSOR"}
    path = grouped(tmp_path, (1, 2, 10, width), None, dtype=dtype, **types)
    graph, cost = counted(path, "GroupQueryAttention", shapes={"mask": (1, 11)})
    present = graph.nodes[-1].view.output(1)
    assert (present.dtype, present.shape) == ("int8" if dtype == INT8 else "uint8", (1, 2, 11, width))
    assert cost.macs == 11 * SCORE
    assert cost.read_bytes == 4 * 64 + 2 * 10 * row + 8
    assert cost.write_bytes == 4 * 32 + 2 * row


def paged(folder: Path) -> Path:
    node = microsoft(
        "PagedAttention", ["q", "", "", "pk", "pv", "ends", "pasts", "blocks"], "y nk nv", **HEADS
    )
    cache = (5, 16, 2, 8)
    return save(
        folder,
        [node],
        [
            value("q", ("tokens", 64)), value("pk", cache), value("pv", cache), value("ends", (3,), INT32),
            value("pasts", (2,), INT32), value("blocks", (2, "most"), INT32),
        ],
        [value("y", None), value("nk", None), value("nv", None)],
        opsets=OPSETS,
    )  # fmt: skip


def test_blocks_count_by_the_lengths_that_are_given(tmp_path: Path) -> None:
    lengths: Mapping[str, Sequence[float]] = {"ends": [0, 1, 4], "pasts": [20, 9]}
    dims = {"tokens": 4, "most": 2}
    graph, cost = counted(paged(tmp_path), "PagedAttention", dims=dims, values=lengths)
    assert [graph.nodes[0].view.output_shape(index) for index in range(3)] == [
        (4, 32), (5, 16, 2, 8), (5, 16, 2, 8),
    ]  # fmt: skip
    # a token behind 20, and 3 behind 9
    assert cost.macs == (21 + 3 * 12) * SCORE


def test_without_lengths_blocks_are_unknown_and_say_what_to_give(tmp_path: Path) -> None:
    _, cost = counted(paged(tmp_path), "PagedAttention", dims={"tokens": 4, "most": 2})
    assert (cost.status, cost.macs) == ("unknown", 0)
    assert cost.reason == ("PagedAttention: what it attends to is data of 'ends'; --value ends=... fixes it")


def returned(folder: Path, node: NodeProto, inputs: Sequence[ValueInfoProto], **given: Any) -> Any:
    outputs = [value(name, None) for name in node.output]
    graph = load_graph(save(folder, [node], inputs, outputs, opsets=OPSETS), **given)
    return [output and output.shape for output in graph.nodes[0].view.outputs]


@pytest.mark.parametrize(("flags", "length"), [((0, 0), 3), ((1, 0), 5), ((0, 1), 10), ((1, 1), 7)], ids=str)
def test_flags_of_a_decoder(tmp_path: Path, flags: tuple[int, int], length: int) -> None:
    names = ["q", "k", "w", "kv", "b", "", "pk", "pv", "static", "past", "state", "padded"]
    node = microsoft("DecoderAttention", names, "y nk nv", num_heads=4)
    cache = (2, 4, 7, 8)
    inputs = [
        value("q", (3, 2, 32)), value("k", (5, 2, 32)), value("w", (32, 32)), value("kv", (32, 64)),
        value("b", (96,)), value("pk", cache), value("pv", cache),
        *(value(name, (1,), BOOL) for name in names[8:]),
    ]  # fmt: skip
    made = returned(tmp_path, node, inputs, values={"static": [flags[0]], "past": [flags[1]]})
    assert made == [(3, 2, 32), (2, 4, length, 8), (2, 4, length, 8)]


def test_a_latent_cache_has_narrower_values(tmp_path: Path) -> None:
    names = ["q", "k", "", "pk", "", "ends", "pasts", "blocks"]
    node = microsoft(
        "PagedAttention", names, "y nk", num_heads=4, kv_num_heads=1, v_head_size=16, kv_cache_layout="LATENT"
    )
    inputs = [
        value("q", (2, 96)), value("k", (2, 24)), value("pk", (5, 16, 1, 24)), value("ends", (2,), INT32),
        value("pasts", (1,), INT32), value("blocks", (1, 2), INT32),
    ]  # fmt: skip
    assert returned(tmp_path, node, inputs) == [(2, 64), (5, 16, 1, 24)]


@pytest.mark.parametrize(("past", "made"), [(7, 9), (40, 40)], ids=["grows", "buffer"])
def test_selected_keys_come_from_a_cache_as_any(tmp_path: Path, past: int, made: int) -> None:
    names = ["q", "", "", "pk", "pv", "", "", "at", "counts", "n", "total"]
    node = microsoft("DynamicSparseAttention", names, "y nk nv", attention_mode="selected_only", **HEADS)
    cache = (1, 2, past, 8)
    inputs = [
        value("q", (1, 2, 64)), value("pk", cache), value("pv", cache), value("at", (2, 5), INT32),
        value("counts", (2,), INT32), value("n", (1,), INT32), value("total", (1,), INT32),
    ]  # fmt: skip
    shapes = returned(tmp_path, node, inputs, values={"total": [9]})
    assert shapes == [(1, 2, 32), (1, 2, made, 8), (1, 2, made, 8)]
