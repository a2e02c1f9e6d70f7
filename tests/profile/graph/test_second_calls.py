from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnx import NodeProto, TensorProto

from onnxlens.profile.graph.loading import load_graph
from tests.profile.models import op, save, value, weight


def paths(folder: Path, nodes: Sequence[NodeProto], weights: Sequence[TensorProto] = ()) -> list[str]:
    """The modules of the nodes that run, in a file that TorchScript wrote."""
    last = value(nodes[-1].output[0], None)
    graph = load_graph(save(folder, nodes, [value("x", (1, 4, 8, 8))], [last], weights))
    return [node.module.path for node in graph.nodes if not node.constant_folded]


def named(name: str, inputs: str, output: str) -> NodeProto:
    node = op(name.rpartition("/")[2].partition("_")[0], inputs, output)
    node.name = name
    return node


def kernel(name: str) -> TensorProto:
    return weight(name, 4, 4, 1, 1)


def test_a_second_call_is_the_module_whose_weight_it_reads_and_not_its_namesake(tmp_path: Path) -> None:
    nodes = [
        named("/b/conv/Conv", "x b.conv.weight", "t"),
        named("/b/conv_1/Conv", "t b.conv.weight", "u"),
        named("/b/conv_1/Conv_1", "u b.conv_1.weight", "v"),
        named("/b/conv_1_1/Conv", "v b.conv_1.weight", "y"),
    ]
    weights = [kernel("b.conv.weight"), kernel("b.conv_1.weight")]
    assert paths(tmp_path, nodes, weights) == ["b.conv", "b.conv", "b.conv_1", "b.conv_1"]


def test_a_nameless_weight_that_two_calls_share_tells_the_second(tmp_path: Path) -> None:
    nodes = [
        op("Identity", "onnx::Conv_9", "onnx::Conv_8"),
        named("/seq/seq.0/Conv", "x onnx::Conv_9", "t"),
        named("/seq/seq.0_1/Conv", "t onnx::Conv_8", "u"),
        named("/seq/seq.1/Relu", "u", "v"),
        named("/seq/seq.1_1/Relu", "v", "y"),  # a child that is a number has no other such name
    ]
    assert paths(tmp_path, nodes, [kernel("onnx::Conv_9")]) == ["seq.0", "seq.0", "seq.1", "seq.1"]


def test_what_has_no_weight_goes_with_the_rest_of_its_call(tmp_path: Path) -> None:
    nodes = [
        named("/block/conv/Conv", "x net.block.conv.weight", "t"),
        named("/block/act/Relu", "t", "u"),
        named("/block_1/conv/Conv", "u net.block.conv.weight", "v"),
        named("/block_1/act/Relu", "v", "y"),
    ]
    weights = [kernel("net.block.conv.weight")]  # of a model that was traced inside a wrapper
    assert paths(tmp_path, nodes, weights) == ["block.conv", "block.act", "block.conv", "block.act"]


def test_without_a_weight_a_numbered_name_stays(tmp_path: Path) -> None:
    assert paths(tmp_path, [named("/act/Relu", "x", "t"), named("/act_1/Relu", "t", "y")]) == ["act", "act_1"]


def test_modules_of_numbered_names_with_weights_of_their_own_stay(tmp_path: Path) -> None:
    nodes = [
        named("/conv/Conv", "x conv.weight", "t"),
        named("/conv_1/Conv", "t onnx::Conv_7", "u"),
        named("/conv_1/Relu", "u", "y"),
    ]
    weights = [kernel("conv.weight"), kernel("onnx::Conv_7")]
    assert paths(tmp_path, nodes, weights) == ["conv", "conv_1", "conv_1"]


def test_a_module_that_uses_its_childs_weight_is_found_in_its_second_call_too(tmp_path: Path) -> None:
    nodes = [
        named("/attn/Conv", "x attn.q.weight", "t"),
        named("/attn_1/Conv", "t attn.q.weight", "y"),
    ]
    assert paths(tmp_path, nodes, [kernel("attn.q.weight")]) == ["attn", "attn"]


def test_what_runs_between_the_children_of_a_later_call_is_the_callers(tmp_path: Path) -> None:
    def layer(number: str, x: str) -> list[NodeProto]:
        """A call of a layer of attention: the children have the path of the first call."""
        p = f"p{number}"
        return [
            named(f"/layer/attn/q{number}/Conv", f"{x} layer.attn.q.weight", f"{p}a"),
            named(f"/layer/attn{number}/Softmax", f"{p}a", f"{p}b"),
            named(f"/layer/norm{number}/Relu", f"{p}b", f"{p}c"),
            named(f"/layer{number}/Add", f"{p}c {x}", f"{p}d"),
        ]

    nodes = [*layer("", "x"), *layer("_1", "pd"), *layer("_2", "p_1d"), named("/act_1/Relu", "p_2d", "y")]
    once = ["layer.attn.q", "layer.attn", "layer.norm", "layer"]
    assert paths(tmp_path, nodes, [kernel("layer.attn.q.weight")]) == [*once, *once, *once, "act_1"]


def test_a_numbered_child_with_a_later_call_is_a_module_of_its_own(tmp_path: Path) -> None:
    nodes = [
        named("/layer/q/Conv", "x layer.q.weight", "a"),
        named("/layer/act/Relu", "a", "b"),
        named("/layer/act_1/Relu", "b", "c"),
        named("/layer/Add", "c x", "d"),
        named("/layer/q_1/Conv", "d layer.q.weight", "e"),
        named("/layer/act_2/Relu", "e", "f"),
        named("/layer/act_1_1/Relu", "f", "g"),
        named("/layer_1/Add", "g d", "y"),
    ]
    found = paths(tmp_path, nodes, [kernel("layer.q.weight")])
    assert (found[1], found[2], found[7]) == ("layer.act", "layer.act_1", "layer")


def test_a_numbered_module_with_children_is_no_later_call(tmp_path: Path) -> None:
    nodes = [
        named("/layer/q/Conv", "x layer.q.weight", "t"),
        named("/layer/q_1/Conv", "t layer.q.weight", "u"),  # twice in one call
        named("/layer_1/q/Conv", "u layer_1.q.weight", "v"),
        named("/layer_1/Relu", "v", "y"),
    ]
    held = [kernel("layer.q.weight"), kernel("layer_1.q.weight")]
    assert paths(tmp_path, nodes, held) == ["layer.q", "layer.q", "layer_1.q", "layer_1"]
