from __future__ import annotations

import pytest

from onnxlens.profile.graph.name_paths import node_levels, weight_owner

FUSED = "model_1/re_lu_2/Relu;model_1/conv2d_2/BiasAdd;model_1/conv2d_2/Conv2D"


@pytest.mark.parametrize(
    ("name", "op_type", "module"),
    [
        ("/layer1/layer1.0/conv1/Conv", "Conv", "layer1.0.conv1"),  # torch
        ("/Conv", "Conv", ""),
        ("model_1/dense/MatMul", "MatMul", "model_1.dense"),  # Keras by tf2onnx
        ("StatefulPartitionedCall/StatefulPartitionedCall_1/model/dense/MatMul", "MatMul", "model.dense"),
        ("model_2/dense_3/Tensordot/MatMul", "MatMul", "model_2.dense_3"),
        ("net/Dense_0/einsum/Einsum", "MatMul", "net.Dense_0"),  # Flax by jax2tf
        ("jax2tf_net_/pjit_net_/Net/Conv_0/Conv2D", "Conv", "jax2tf_net.pjit_net.Net.Conv_0"),
        (FUSED, "Conv", "model_1.conv2d_2"),  # TFLite by tf2onnx
        (FUSED, "Relu", "model_1.re_lu_2"),
        ("Mlp2_1/node_Gemm_1", "Gemm", "Mlp2_1"),  # a function that was written out
        ("encoder/layer_0//a/b/Neg", "Neg", "encoder.layer_0.a.b"),
        ("g_/lstm/LSTM", "LSTM", "g.lstm"),  # onnx.compose
        ("g_/layer1/layer1.0/conv1/Conv", "Conv", "g.layer1.0.conv1"),
        ("F0::If_0_then_branch__Inline_0__/enc/0/Conv", "Conv", "If_0_then_branch__Inline_0.enc.0"),  # spox
        ("/blocks.0/fc1/MatMul/MatMulAddFusion", "Gemm", "blocks.0.fc1"),  # ONNX Runtime's optimiser
        ("/model.0/act/Mul/QuickGeluFusion/", "QuickGelu", "model.0.act"),
        ("fused /stem/conv/Conv", "FusedConv", "stem.conv"),
        ("conv2_1/x1/bn", "BatchNormalization", "conv2_1.x1"),  # Caffe
    ],
)
def test_a_nodes_name_holds_the_path_of_its_module(name: str, op_type: str, module: str) -> None:
    assert node_levels(name, op_type)[-1] == module


@pytest.mark.parametrize(
    "name",
    [
        "", "Conv_12", "Conv@0", "p2o.Conv.0", "conv2d_3.tmp_0", "node_linear", "dense_2", "12/34",
        "input_1:01_cropping", "p_re_lu_3/add:0_pooling", "StatefulPartitionedCall/Conv2D",
        "StatefulPartitionedCall:2", "two words/Conv", "/GeluFusion",
    ],
)  # fmt: skip
def test_a_name_without_a_path_is_no_evidence(name: str) -> None:
    assert node_levels(name, "Conv") == ()


def test_every_element_is_a_level_and_a_repeated_path_only_extends_it() -> None:
    assert node_levels("/layer1/layer1.0/conv1/Conv") == ("", "layer1", "layer1.0", "layer1.0.conv1")
    assert node_levels("/layer1.0/conv1/Conv") == ("", "layer1.0", "layer1.0.conv1")
    assert node_levels("model/dense/MatMul") == ["model", "model.dense"]


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("in_blocks.0.conv1.weight", "in_blocks.0.conv1"),  # torch
        ("attn.in_proj_weight", "attn"),
        ("blocks.0.conv.weight_quantized", "blocks.0.conv"),  # ONNX Runtime's quantiser
        ("blocks.0.conv.weight_bias_quantized", "blocks.0.conv"),
        ("conv.parametrizations.weight.original0", "conv"),
        ("self.stft.forward_basis", "stft"),
        ("If_0_else_branch__Inline_0__encoder.0.weight", "If_0_else_branch__Inline_0.encoder.0"),
        ("conv2d_112.w_0", "conv2d_112"),  # Paddle
        ("conv2_expand_weights", "conv2_expand"),
        ("dense_2/kernel:0", "dense_2"),  # Keras
        ("model/dense_3/BiasAdd/ReadVariableOp/resource:0", "model.dense_3"),
        ("StatefulPartitionedCall/model/dense/MatMul/ReadVariableOp:0", "model.dense"),
        ("lstm_5_W", "lstm_5"),
        ("inception_3a/1x1_w_0", "inception_3a.1x1"),  # Caffe2
        ("gpu_0/res2_0_branch2a_bn_s_0", "gpu_0.res2_0_branch2a_bn"),
        ("detector/in_blocks.0.conv1.weight", "detector.in_blocks.0.conv1"),  # onnx.compose
        ("resnetv17_conv0_weight", "resnetv17_conv0"),  # MXNet
    ],
)
def test_a_weights_name_holds_the_path_of_its_owner(name: str, module: str) -> None:
    assert weight_owner(name) == module


@pytest.mark.parametrize(
    "name",
    [
        "205", "weight", "slope", "val_49", "onnx::Conv_309", "onnx::MatMul_398_quantized", "getitem_scale",
        "conv2d_3.tmp_0", "p2o.pd_op.reshape.0.0", "p2o.helper.axes", "helper.constant.27", "input.8",
        "x.1_scale", "/model.22/Constant_1_output_0", "const_fold_opt__664", "a name. with spaces",
    ],
)  # fmt: skip
def test_a_weight_that_a_converter_named_has_no_owner(name: str) -> None:
    assert weight_owner(name) is None
