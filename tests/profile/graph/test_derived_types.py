"""Types that follow from an operator's own definition, held to what ONNX Runtime computes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper

from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.loading import load_graph
from tests.profile.graph.real_types import found, run
from tests.profile.models import op, value

ML, MICROSOFT = "ai.onnx.ml", "com.microsoft"


def array(*shape: int) -> np.ndarray:
    return np.linspace(0, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def ml(op_type: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    return op(op_type, inputs, outputs, domain=ML, **attributes)


def model_of(nodes: list[NodeProto], feeds: Mapping[str, np.ndarray], **opsets: int) -> onnx.ModelProto:
    """The nodes on inputs of those types, with outputs whose types are not said."""
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in feeds.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in nodes[-1].output if name]
    imports = {"": 18, ML: 3, MICROSOFT: 1} | opsets
    return helper.make_model(
        helper.make_graph(nodes, "made", inputs, outputs),
        opset_imports=[helper.make_opsetid(*pair) for pair in imports.items()],
        ir_version=10,
    )


def scaled(features: int) -> NodeProto:
    """What stands before a classical model: nothing of its output is in the file."""
    return ml("Scaler", "x", "s", offset=[0.0] * features, scale=[1.0] * features)


TWO_CLASSES: Mapping[str, Any] = {
    "coefficients": [0.5] * 8, "intercepts": [0.5] * 2, "classlabels_ints": [0, 1],
}  # fmt: skip
FOUR_CLASSES: Mapping[str, Any] = {
    "coefficients": [0.5] * 15, "vectors_per_class": [1, 2, 1, 1], "rho": [0.5] * 6,
    "classlabels_ints": [0, 1, 2, 3],
}  # fmt: skip
TREE: Mapping[str, Any] = {
    "nodes_treeids": [0, 0, 0],
    "nodes_nodeids": [0, 1, 2],
    "nodes_featureids": [0, 0, 0],
    "nodes_values": [0.5, 0.0, 0.0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0],
}
LEAVES: Mapping[str, Any] = {"class_treeids": [0, 0], "class_nodeids": [1, 2], "class_weights": [1.0, 1.0]}
VECTORS: Mapping[str, Any] = {
    "kernel_type": "RBF", "kernel_params": [0.5, 0.0, 3.0], "support_vectors": [0.5] * 20,
}  # fmt: skip
TARGETS: Mapping[str, Any] = {
    "target_treeids": [0, 0],
    "target_nodeids": [1, 2],
    "target_weights": [1.0, 1.0],
}

X = {"x": array(6, 4)}
ROW = {"x": array(4)}
WORDS = {"w": np.array([["a", "b"], ["b", "c"]], object)}

CLASSICAL: Mapping[str, tuple[NodeProto, Mapping[str, np.ndarray]]] = {
    "two scores": (
        ml("LinearClassifier", "s", "l y", coefficients=[0.5] * 4, intercepts=[0.5], classlabels_ints=[0, 1]),
        X,
    ),
    "three scores": (
        ml("LinearClassifier", "s", "l y", coefficients=[0.5] * 12, intercepts=[0.5] * 3,
           classlabels_strings=["a", "b", "c"]),
        X,
    ),
    "two rows of coefficients": (
        ml("LinearClassifier", "s", "l y", **TWO_CLASSES),
        X,
    ),
    "a row": (
        ml("LinearClassifier", "s", "l y", **TWO_CLASSES),
        ROW,
    ),
    "regressor": (ml("LinearRegressor", "s", "y", coefficients=[0.5] * 12, targets=3), X),
    "regressor of a row": (ml("LinearRegressor", "s", "y", coefficients=[0.5] * 4), {"x": array(1, 4)}),
    "support vectors": (
        ml("SVMRegressor", "s", "y", coefficients=[0.5] * 5, n_supports=5, rho=[0.5], **VECTORS), X,
    ),
    "machine of two classes": (
        ml("SVMClassifier", "s", "l y", coefficients=[0.5] * 5, vectors_per_class=[2, 3], rho=[0.5],
           classlabels_ints=[0, 1], **VECTORS),
        X,
    ),
    "machine of four classes": (
        ml("SVMClassifier", "s", "l y", **FOUR_CLASSES, **VECTORS),
        X,
    ),
    "machine of three classes": (
        ml("SVMClassifier", "s", "l y", coefficients=[0.5] * 10, vectors_per_class=[1, 2, 2], rho=[0.5] * 3,
           classlabels_ints=[0, 1, 2], **VECTORS),
        X,
    ),
    "probabilities": (
        ml("SVMClassifier", "s", "l y", prob_a=[0.5] * 6, prob_b=[0.5] * 6, **FOUR_CLASSES, **VECTORS),
        X,
    ),
    "linear machine": (
        ml("SVMClassifier", "s", "l y", coefficients=[0.5] * 12, rho=[0.5], classlabels_ints=[0, 1, 2],
           kernel_type="LINEAR", kernel_params=[0.0, 0.0, 0.0]),
        X,
    ),
    "trees": (
        ml("TreeEnsembleClassifier", "s", "l y", **TREE, **LEAVES, class_ids=[0, 1],
           classlabels_strings=["no", "yes"]),
        X,
    ),
    "trees with one score": (
        ml("TreeEnsembleClassifier", "s", "l y", **TREE, **LEAVES, class_ids=[0, 0],
           classlabels_int64s=[0, 1]),
        X,
    ),
    "trees of targets": (
        ml("TreeEnsembleRegressor", "s", "y", **TREE, **TARGETS, target_ids=[0, 1], n_targets=2), X,
    ),
    "normalizer": (ml("Normalizer", "s", "y", norm="L2"), X),
    "binarizer": (ml("Binarizer", "s", "y", threshold=0.5), X),
    "imputer": (ml("Imputer", "s", "y", imputed_value_floats=[0.5], replaced_value_float=0.1), X),
    "features side by side": (ml("FeatureVectorizer", "s x", "y", inputdimensions=[4, 4]), X),
    "columns": (ml("ArrayFeatureExtractor", "s at", "y"), {**X, "at": integers(0, 2, 2)}),
    "elements": (ml("ArrayFeatureExtractor", "s at", "y"), {**ROW, "at": integers(0, 2)}),
    "categories": (ml("OneHotEncoder", "s", "y", cats_int64s=[0, 1, 2], zeros=1), {"x": array(6, 1)}),
    "words to numbers": (ml("CategoryMapper", "w", "y", cats_strings=["a", "b"], cats_int64s=[1, 2]), WORDS),
    "numbers to words": (
        ml("CategoryMapper", "n", "y", cats_strings=["a", "b"], cats_int64s=[1, 2]), {"n": integers(1, 2, 3)},
    ),
    "labels to reals": (
        ml("LabelEncoder", "n", "y", keys_int64s=[1, 2], values_floats=[0.5, 1.5]), {"n": integers(1, 2)},
    ),
    "labels to numbers": (ml("LabelEncoder", "w", "y", keys_strings=["a"], values_int64s=[5]), WORDS),
}  # fmt: skip


@pytest.mark.parametrize(("node", "feeds"), CLASSICAL.values(), ids=CLASSICAL)
def test_a_classical_operator_behind_a_scaler(
    tmp_path: Path, node: NodeProto, feeds: Mapping[str, np.ndarray]
) -> None:
    nodes = [scaled(feeds["x"].shape[-1]), node] if "x" in feeds else [node]
    model = model_of(nodes, feeds)
    real = {
        name: ("string" if dtype == "object" else dtype, shape)
        for name, (dtype, shape) in run(model, feeds).items()
    }
    assert found(model, tmp_path) == real


def test_maps_become_a_row_and_rows_become_maps(tmp_path: Path) -> None:
    map_type = helper.make_map_type_proto(
        TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, ())
    )
    nodes = [
        ml("DictVectorizer", "m", "v", string_vocabulary=["a", "b", "c"]),
        ml("CastMap", "m", "c", map_form="SPARSE", max_map=8),
        ml("CastMap", "m", "d", cast_to="TO_INT64"),
        ml("Scaler", "v", "s", offset=[0.0] * 3, scale=[1.0] * 3),
        ml("ZipMap", "s", "z", classlabels_strings=["a", "b", "c"]),
    ]
    model = model_of(nodes, {})
    model.graph.input.append(helper.make_value_info("m", map_type))
    types = found(model, tmp_path)
    assert [types[name][1] for name in "vcds"] == [(1, 3), (1, 8), (1, "?"), (1, 3)]
    assert [types[name][0] for name in "cds"] == ["float32", "int64", "float32"]
    zipped = build_ledger(load_graph(tmp_path / "graph.onnx")).nodes[-1]
    assert (zipped.status, zipped.read_bytes, zipped.write_bytes) == ("counted", 3 * 4, 3 * 4)


B, L, P, H, K, D = 1, 3, 5, 4, 2, 8  # ONNX Runtime takes several new keys for a batch of 1 alone
Q, KV = array(B, L, H * D), array(B, L, K * D)
PAST, PAST_KV = array(B, H, P, D), array(B, K, P, D)


def microsoft(op_type: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    return op(op_type, inputs, outputs, domain=MICROSOFT, **attributes)


def grouped(query: np.ndarray, **cache: np.ndarray) -> Mapping[str, np.ndarray]:
    past = next(iter(cache.values())).shape[2]
    lengths = {"l": np.full(B, past + L - 1, np.int32), "t": np.array(past + L, np.int32)}
    return {"q": query, **cache, **lengths}


ATTENTION: Mapping[str, tuple[NodeProto, Mapping[str, np.ndarray]]] = {
    "grouped queries": (
        microsoft("GroupQueryAttention", "q k v pk pv l t", "y nk nv", num_heads=H, kv_num_heads=K),
        {**grouped(Q, pk=PAST_KV, pv=PAST_KV), "k": KV, "v": KV},
    ),
    "grouped queries of a prompt": (
        microsoft("GroupQueryAttention", "q k v pk pv l t", "y nk nv", num_heads=H, kv_num_heads=K),
        {**grouped(Q, pk=PAST_KV[:, :, :0], pv=PAST_KV[:, :, :0]), "k": KV, "v": KV},
    ),
    "packed grouped queries": (
        microsoft("GroupQueryAttention", "q - - pk pv l t", "y nk nv", num_heads=H, kv_num_heads=K),
        grouped(array(B, L, (H + 2 * K) * D), pk=PAST_KV, pv=PAST_KV),
    ),
    "heads": (
        microsoft("MultiHeadAttention", "q k v", "y", num_heads=H), {"q": Q, "k": Q, "v": array(B, L, H * 6)},
    ),
    "heads with a past": (
        microsoft("MultiHeadAttention", "q k v - - - pk pv", "y nk nv", num_heads=H),
        {"q": Q, "k": Q, "v": Q, "pk": PAST, "pv": PAST},
    ),
    "heads that start a past": (
        microsoft("MultiHeadAttention", "q k v", "y nk nv", num_heads=H), {"q": Q, "k": Q, "v": Q},
    ),
    "heads over another sequence": (
        microsoft("MultiHeadAttention", "q k v", "y", num_heads=H), {"q": Q, "k": PAST, "v": PAST},
    ),
    "projected": (
        microsoft("Attention", "x w b - p", "y n", num_heads=H),
        {"x": array(B, L, 6), "w": array(6, 3 * H * D), "b": array(3 * H * D), "p": array(2, B, H, P, D)},
    ),
    "projected to three widths": (
        microsoft("Attention", "x w b", "y", num_heads=H, qkv_hidden_sizes=[16, 16, 24]),
        {"x": array(B, L, 6), "w": array(6, 56), "b": array(56)},
    ),
    "projected without a past": (
        microsoft("Attention", "x w b", "y n", num_heads=H),
        {"x": array(B, L, 6), "w": array(6, 3 * H * D), "b": array(3 * H * D)},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("node", "feeds"), ATTENTION.values(), ids=ATTENTION)
def test_the_present_of_an_attention_is_its_past_and_what_is_new(
    tmp_path: Path, node: NodeProto, feeds: Mapping[str, np.ndarray]
) -> None:
    model = model_of([node], feeds)
    assert found(model, tmp_path) == run(model, feeds)


def present_length(folder: Path, shared: int, total: int | None) -> object:
    """Of one new key behind 4, where the file declares the present, or knows the total length."""
    feeds = {
        "q": array(1, 1, 8),
        "pk": array(1, 1, 4, 8),
        "l": np.zeros(1, np.int32),
        "t": np.array(5, np.int32),
    }
    node = microsoft("GroupQueryAttention", "q q q pk pk l t", "y nk nv", num_heads=1, kv_num_heads=1)
    model = model_of([node], feeds)
    if shared:
        model.graph.output[1].CopyFrom(value("nk", (1, 1, shared, 8)))
    if total is not None:
        model.graph.initializer.append(helper.make_tensor("t", TensorProto.INT32, (), [total]))
    return found(model, folder)["nk"][1]


def test_heads_of_packed_queries(tmp_path: Path) -> None:
    model = model_of(
        [microsoft("MultiHeadAttention", "q", "y nk nv", num_heads=4)], {"q": array(2, 3, 4, 3, 8)}
    )
    shapes = [shape for _, shape in found(model, tmp_path).values()]
    assert shapes == [(2, 3, 32), (2, 4, 3, 8), (2, 4, 3, 8)]


def test_a_buffer_that_past_and_present_share_does_not_grow(tmp_path: Path) -> None:
    assert present_length(tmp_path, 0, None) == (1, 1, 5, 8)
    assert present_length(tmp_path, 4, None) == (1, 1, 4, 8)  # the file declares it
    assert present_length(tmp_path, 0, 3) == (1, 1, 4, 8)  # the whole of it fits in
    decoder = microsoft("DecoderMaskedMultiHeadAttention", "q q q - - pk pk n", "y nk nv", num_heads=1)
    feeds = {"q": array(1, 1, 8), "pk": array(1, 1, 4, 8), "n": np.array([2], np.int32)}
    assert found(model_of([decoder], feeds), tmp_path)["nk"][1] == (1, 1, 4, 8)


@pytest.mark.parametrize("op_type", ["GroupQueryAttention", "MultiHeadAttention"])
def test_a_cache_of_an_open_length_is_open(tmp_path: Path, op_type: str) -> None:
    """ONNX Runtime's inference says 4 of the first, and is asked for what is behind an UnfoldTensor."""
    caches = "pk pk l t" if op_type == "GroupQueryAttention" else "- - - pk pk"
    nodes = [
        microsoft(op_type, f"q q q {caches}", "a nk nv", num_heads=1, kv_num_heads=1),
        microsoft("UnfoldTensor", "nk", "y", dim=3, size=2, step=1),
    ]
    feeds = {
        "q": array(1, 1, 8),
        "pk": array(1, 1, 4, 8),
        "l": np.zeros(1, np.int32),
        "t": np.array(5, np.int32),
    }
    model = model_of(nodes, feeds)
    model.graph.input[0].CopyFrom(value("q", (1, "new", 8)))
    types = found(model, tmp_path)
    assert types["nk"][1] == (1, 1, "4 + new", 8)
    assert types["y"][1] == (1, 1, "nk_length", 7, 2)  # 7 windows of 2


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize(("op_type", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_the_hidden_size_of_a_recurrent_layer_is_that_of_its_weights(
    tmp_path: Path, op_type: str, gates: int, layout: int
) -> None:
    outputs = "y h c" if op_type == "LSTM" else "y h"
    node = op(op_type, "x w r", outputs, direction="bidirectional", layout=layout)
    feeds = {"x": array(7, 3, 5), "w": array(2, gates * 4, 5), "r": array(2, gates * 4, 4)}
    types = found(model_of([node], feeds), tmp_path)
    # 7 steps of 3 sequences; with the batch in front 7 sequences of 3 steps
    assert types["y"] == ("float32", (7, 3, 2, 4) if layout else (7, 2, 3, 4))
    assert types["h"] == ("float32", (7, 2, 4) if layout else (2, 3, 4))


def test_a_group_normalization_of_opset_18_is_as_large_as_its_input(tmp_path: Path) -> None:
    feeds = {"x": array(3, 4, 2, 2), "w": array(2), "b": array(2)}
    model = model_of([op("GroupNormalization", "x w b", "y", num_groups=2)], feeds)
    assert found(model, tmp_path)["y"] == ("float32", (3, 4, 2, 2))


def test_a_short_time_fourier_transform_is_one_sided_by_default(tmp_path: Path) -> None:
    feeds = {"x": array(1, 128, 1), "step": np.array(8), "length": np.array(16)}
    model = model_of([op("STFT", "x step - length", "y")], feeds)
    for name in ("step", "length"):
        model.graph.initializer.append(onnx.numpy_helper.from_array(feeds[name], name))
    # (128 - 16) / 8 + 1 frames; 16 / 2 + 1 frequencies, each with a real and an imaginary part
    assert found(model, tmp_path)["y"] == ("float32", (1, 15, 9, 2))
