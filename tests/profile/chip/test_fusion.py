from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from onnxlens.errors import UsageError
from onnxlens.profile.chip.fusion import Fusion
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.loading import load_graph
from tests.profile.chip.fused_nets import CHANNELS, KERNEL, MAP, by_node, conv, maps, moved
from tests.profile.models import op, save, value, weight


def test_an_activation_rides_on_a_convolution(tmp_path: Path) -> None:
    fusion = maps(tmp_path, [conv("x", "a"), op("Relu", "a", "y")])
    assert moved(fusion, "none") == 4 * MAP + KERNEL  # x in, a out, a in, y out
    assert by_node(fusion, "epilogue") == [(1, 0), (0, 1)]
    assert moved(fusion, "epilogue") == 2 * MAP + KERNEL


def test_a_sigmoid_and_its_product_ride_on_one_convolution(tmp_path: Path) -> None:
    nodes = [conv("x", "a"), op("Sigmoid", "a", "s"), op("Mul", "a s", "y")]
    fusion = maps(tmp_path, nodes)
    assert by_node(fusion, "none") == [(1, 1), (1, 1), (2, 1)]
    assert by_node(fusion, "epilogue") == [(1, 0), (0, 0), (0, 1)]


def test_a_residual_is_written_and_read_again(tmp_path: Path) -> None:
    nodes = [
        conv("x", "a"),
        op("Relu", "a", "b"),
        conv("b", "c", 1),
        op("Add", "c b", "d"),
        conv("d", "y", 2),
    ]
    fusion = maps(tmp_path, nodes)
    # b has two readers: the second convolution, and the sum that rides on it
    assert by_node(fusion, "epilogue") == [(1, 0), (0, 1), (1, 0), (1, 1), (1, 1)]
    assert moved(fusion, "epilogue") == 7 * MAP + 3 * KERNEL


def test_a_sum_of_two_convolutions_rides_on_the_later_one(tmp_path: Path) -> None:
    fusion = maps(tmp_path, [conv("x", "a"), conv("x", "b", 1), op("Add", "a b", "y")])
    assert by_node(fusion, "epilogue") == [(1, 1), (1, 0), (1, 1)]


def test_a_gate_that_is_made_of_what_it_scales_does_not_ride(tmp_path: Path) -> None:
    """Squeeze and excite: the product needs all of ``a`` before its first element."""
    nodes = [
        conv("x", "a"),
        op("GlobalAveragePool", "a", "p"),
        conv("p", "q", 1),
        op("Sigmoid", "q", "g"),
        op("Mul", "a g", "y"),
    ]
    found = by_node(maps(tmp_path, nodes), "epilogue")
    assert found == [(1, 1), (1, 1 / 36), (1 / 36, 0), (0, 1 / 36), (1 + 1 / 36, 1)]


def test_a_rider_waits_for_what_does_not_come_from_its_cluster(tmp_path: Path) -> None:
    """As a block of the U-Net adds the time embedding, which is made after its first convolution."""
    nodes = [conv("x", "a"), conv("z", "t", 1), op("Add", "a t", "b"), op("Relu", "b", "y")]
    found = by_node(maps(tmp_path, nodes, inputs="x z"), "epilogue")
    assert found == [(1, 1), (1, 0), (1, 0), (0, 1)]  # rides on the later of the two, of the same shape


def test_a_cast_and_a_reshape_do_not_end_a_chain(tmp_path: Path) -> None:
    nodes = [
        conv("x", "a"),
        op("Reshape", "a flat", "b"),
        op("Tanh", "b", "c"),
        op("Reshape", "c square", "d"),
        op("Neg", "d", "y"),
    ]
    assert by_node(maps(tmp_path, nodes), "epilogue") == [(1, 0), (0, 0), (0, 0), (0, 0), (0, 1)]


def test_a_norm_needs_a_pass_and_what_follows_it_rides(tmp_path: Path) -> None:
    nodes = [
        conv("x", "a"),
        op("Reshape", "a flat", "b"),
        op("InstanceNormalization", "b scale scale", "c"),
        op("Reshape", "c square", "d"),
        op("Mul", "d plane", "e"),
        op("Add", "e plane", "f"),
        op("Relu", "f", "g"),
        conv("g", "y", 1),
    ]
    fusion = maps(tmp_path, nodes)
    assert by_node(fusion, "epilogue") == [
        (1, 1), (0, 0), (1, 0), (0, 0), (0, 0), (0, 0), (0, 1), (1, 1),
    ]  # fmt: skip
    # a is written and read once for the statistics; scale and bias of the norm are one tensor here
    assert moved(fusion, "epilogue") == 6 * MAP + 2 * KERNEL + 3 * CHANNELS


def test_a_batch_norm_in_inference_rides(tmp_path: Path) -> None:
    nodes = [conv("x", "a"), op("BatchNormalization", "a scale scale scale scale", "b"), op("Relu", "b", "y")]
    assert by_node(maps(tmp_path, nodes), "epilogue") == [(1, 0), (0, 0), (0, 1)]


def test_nothing_rides_without_a_matrix_operator_or_a_norm(tmp_path: Path) -> None:
    fusion = maps(tmp_path, [op("Relu", "x", "a"), op("Neg", "a", "y")])
    assert by_node(fusion, "epilogue") == by_node(fusion, "none") == [(1, 1), (1, 1)]


def test_an_output_of_the_graph_is_written_although_it_is_read_on_the_chip(tmp_path: Path) -> None:
    fusion = maps(tmp_path, [conv("x", "s"), op("Relu", "s", "y")], outputs="y s")
    assert by_node(fusion, "epilogue") == [(1, 1), (0, 1)]


def test_a_pair_keeps_what_passes_between_where_it_fits(tmp_path: Path) -> None:
    fusion = maps(tmp_path, [conv("x", "a"), conv("a", "b", 1), conv("b", "c", 2), conv("c", "y", 3)])
    assert moved(fusion, "attention") == 8 * MAP + 4 * KERNEL
    assert moved(fusion, "layer-pairs", MAP - 1) == 8 * MAP + 4 * KERNEL
    # a and c, of which no two are alive at once; with room for two all three
    assert moved(fusion, "layer-pairs", MAP) == 4 * MAP + 4 * KERNEL
    assert by_node(fusion, "layer-pairs", MAP) == [(1, 0), (0, 1), (1, 0), (0, 1)]
    assert moved(fusion, "layer-pairs", 2 * MAP - 1) == 4 * MAP + 4 * KERNEL
    assert moved(fusion, "layer-pairs", 2 * MAP) == 2 * MAP + 4 * KERNEL


def test_a_pair_does_not_keep_a_skip_connection(tmp_path: Path) -> None:
    nodes = [conv("x", "a"), conv("a", "b", 1), conv("b", "c", 2), op("Add", "c a", "y")]
    # b stays; a is read on the chip by its first reader, and written for the sum, which reads it
    assert by_node(maps(tmp_path, nodes), "layer-pairs", 2 * MAP) == [(1, 1), (0, 0), (0, 0), (1, 1)]


def test_layer_pairs_need_a_size(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--on-chip"):
        maps(tmp_path, [conv("x", "y")]).traffic("layer-pairs")


TOKENS, WIDTH = 16, 4
SCORES = 4 * TOKENS * TOKENS
HEAD = 4 * TOKENS * WIDTH


def attention(folder: Path, *, returned: bool = False) -> Fusion:
    """Q K^T, scale, mask, softmax, P V, and an activation; the probabilities may be an output."""
    nodes = [
        op("Transpose", "k", "kt", perm=[1, 0]),
        op("MatMul", "q kt", "s"),
        op("Mul", "s factor", "scaled"),
        op("Add", "scaled mask", "masked"),
        op("Softmax", "masked", "p", axis=-1),
        op("MatMul", "p v", "o"),
        op("Relu", "o", "y"),
    ]
    path = save(
        folder,
        nodes,
        [*(value(name, (TOKENS, WIDTH)) for name in "qkv"), value("mask", (TOKENS, TOKENS))],
        [value("y", (TOKENS, WIDTH)), *([value("p", (TOKENS, TOKENS))] if returned else [])],
        [weight("factor", 1)],
    )
    graph = load_graph(path)
    return Fusion(graph, build_ledger(graph).nodes)


def test_scores_never_leave_the_chip(tmp_path: Path) -> None:
    fusion = attention(tmp_path)
    transpose = 2 * HEAD
    factor = 4
    # q, kt in, s out | in out | in, mask in, out | in out | in, v in, o out | in out
    assert moved(fusion, "none") == transpose + 6 * HEAD + 9 * SCORES + factor
    # scale and mask ride on the first product, the activation on the second
    assert moved(fusion, "epilogue") == transpose + 4 * HEAD + 5 * SCORES + factor
    # q, kt, v and the mask in, y out
    assert moved(fusion, "attention") == transpose + 4 * HEAD + SCORES + factor


def test_probabilities_that_are_an_output_are_written(tmp_path: Path) -> None:
    fusion = attention(tmp_path, returned=True)
    assert moved(fusion, "attention") == 2 * HEAD + 4 * HEAD + 2 * SCORES + 4


def test_attention_as_one_operator_moves_no_scores_in_any_mode(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        [op("Attention", "q k v", "y")],
        [value(name, (1, 1, TOKENS, WIDTH)) for name in "qkv"],
        [value("y", (1, 1, TOKENS, WIDTH))],
        opsets={"": 23},
    )
    graph = load_graph(path)
    fusion = Fusion(graph, build_ledger(graph).nodes)
    assert moved(fusion, "none") == moved(fusion, "attention") == 4 * HEAD


def test_a_chain_inside_a_loop_counts_every_round(tmp_path: Path) -> None:
    shape = (1, 8, 6, 6)
    body = helper.make_graph(
        [
            op("Identity", "going", "still"),
            op("Conv", "state w", "a", kernel_shape=[1, 1]),
            op("Relu", "a", "b"),
            op("Neg", "b", "next"),
        ],
        "body",
        [value("i", (), TensorProto.INT64), value("going", (), TensorProto.BOOL), value("state", shape)],
        [value("still", (), TensorProto.BOOL), value("next", shape)],
    )
    path = save(
        tmp_path,
        [
            op("Constant", "", "rounds", value_int=3),
            op("Loop", "rounds - x", "y", body=body),
        ],
        [value("x", shape)],
        [value("y", shape)],
        [weight("w", 8, 8, 1, 1)],
    )
    graph = load_graph(path)
    costs = build_ledger(graph).nodes
    fusion = Fusion(graph, costs)
    assert moved(fusion, "none") == sum(cost.moved_bytes for cost in costs)
    # in each of three rounds a and b stay: each was written and read
    assert moved(fusion, "none") - moved(fusion, "epilogue") == 3 * 4 * MAP


def test_the_page_has_the_bytes_of_its_examples(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "traffic.md").read_text(encoding="utf-8")
    nodes = [conv("x", "a"), op("Relu", "a", "b"), conv("b", "c", 1), op("Add", "c b", "y")]
    fusion = maps(tmp_path, nodes)
    assert f"| all | {moved(fusion, 'none'):,} | {moved(fusion, 'epilogue'):,} |" in page
    head = attention(tmp_path)
    transposed = 2 * HEAD  # the page's keys are
    for mode in ("none", "epilogue", "attention"):
        assert f"= {moved(head, mode) - transposed:,}" in page
