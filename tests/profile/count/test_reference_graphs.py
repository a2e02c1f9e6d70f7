from __future__ import annotations

from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.graph import Graph
from onnxlens.specs.ledger import Ledger, ModuleCost

SUMMED = ("macs", "vector_ops", "special_ops", "weight_read_bytes", "read_bytes", "write_bytes")


def rows(ledger: Ledger) -> dict[str, ModuleCost]:
    return {module.path: module for module in ledger.modules}


def leaves_and_own_nodes(ledger: Ledger, name: str) -> int:
    """A figure over the modules that contain no other, and over the nodes that the others run themselves."""
    paths = [module.path for module in ledger.modules]
    inner = {path for path in paths if not path or any(other.startswith(f"{path}.") for other in paths)}
    leaves = sum(getattr(module, name) for module in ledger.modules if module.path not in inner)
    return leaves + sum(getattr(node, name) for node in ledger.nodes if node.module_path in inner)


def test_leaf_modules_sum_to_the_totals(hed: Graph, clip_text: Graph) -> None:
    for graph in (hed, clip_text):
        ledger = build_ledger(graph)
        assert ledger.totals.unknown_nodes == 0
        for name in SUMMED:
            assert leaves_and_own_nodes(ledger, name) == getattr(ledger.totals, name), (graph.name, name)


def test_hed_blocks_have_the_macs_of_its_paper(hed: Graph) -> None:
    modules = rows(build_ledger(hed))
    widths, counts = (64, 128, 256, 512, 512), (2, 2, 3, 3, 3)
    channels, total = 3, 0
    for block, (width, count) in enumerate(zip(widths, counts, strict=True)):
        size = 512 >> block
        macs = size**2 * (channels * width * 9 + (count - 1) * width * width * 9 + width)
        assert modules[f"block{block + 1}"].macs == macs
        channels, total = width, total + macs
    assert modules[""].macs == total == 80_210_296_832


def test_hed_params_include_the_one_of_the_model_itself(hed: Graph) -> None:
    ledger = build_ledger(hed)
    top = sum(module.params for module in ledger.modules if module.depth == 1)
    assert ledger.totals.params - top == 3  # Hed.norm, (1, 3, 1, 1)
    # 3 x 3 with bias, and a 1 x 1 to one map with bias
    assert rows(ledger)["block1"].params == (27 * 64 + 64) + (576 * 64 + 64) + 65


def test_hed_modules_have_the_shapes_of_its_forward(hed: Graph) -> None:
    modules = rows(build_ledger(hed))
    block2 = modules["block2"]
    assert [tensor.shape for tensor in block2.inputs] == [(1, 64, 512, 512)]
    assert sorted(str(tensor.shape) for tensor in block2.outputs) == [
        "(1, 1, 256, 256)", "(1, 128, 256, 256)",
    ]  # fmt: skip
    assert [tensor.name for tensor in modules[""].inputs] == ["image"]
    assert [(tensor.name, tensor.shape) for tensor in modules[""].outputs] == [
        (f"edge_{i + 1}", (1, 1, 512 >> i, 512 >> i)) for i in range(5)
    ]
    assert "block1.convs" not in modules  # a ModuleList holds, and runs nothing


def test_hed_peak_is_two_maps_of_its_first_block(hed: Graph) -> None:
    # convs.1 or a relu of block 1: its input and its output, 64 channels at full size, and nothing else
    assert build_ledger(hed).totals.peak_live_bytes == 2 * 64 * 512 * 512 * 4


def test_a_clip_layer_has_the_macs_of_its_projections_products_and_mlp(clip_text: Graph) -> None:
    modules = rows(build_ledger(clip_text))
    batch, length, width = 2, 77, 768
    projections = 4 * batch * length * width * width
    products = 2 * batch * length * length * width  # QK^T and AV, all heads
    mlp = 2 * batch * length * width * 4 * width
    layer = "transformer.text_model.encoder.layers"
    for index in range(12):
        assert modules[f"{layer}.{index}"].macs == projections + products + mlp
    assert modules[f"{layer}.3.self_attn"].macs == projections + products
    assert modules[f"{layer}.3.self_attn.q_proj"].macs == projections // 4
    assert modules[f"{layer}.3.mlp"].macs == mlp
    assert modules[""].macs == 12 * (projections + products + mlp) == 13_298_503_680


def test_clip_params_are_those_of_the_published_text_encoder(clip_text: Graph) -> None:
    width, layers = 768, 12
    embeddings = 49408 * width + 77 * width
    layer = 4 * (width * width + width) + (8 * width * width + 5 * width) + 4 * width
    ledger = build_ledger(clip_text)
    assert ledger.totals.params == embeddings + layers * layer + 2 * width == 123_060_480
    assert ledger.totals.buffers == 77  # position_ids
    assert ledger.notes == ()


def test_a_clip_layer_takes_and_gives_the_sequence(clip_text: Graph) -> None:
    modules = rows(build_ledger(clip_text))
    layer = modules["transformer.text_model.encoder.layers.3"]
    assert [(tensor.dtype, tensor.shape) for tensor in layer.inputs] == [("float32", (2, 77, 768))]
    assert [tensor.shape for tensor in layer.outputs] == [(2, 77, 768)]
    mlp = modules["transformer.text_model.encoder.layers.3.mlp.fc1"]
    assert [tensor.shape for tensor in (*mlp.inputs, *mlp.outputs)] == [(2, 77, 768), (2, 77, 3072)]
    assert [str(tensor) for tensor in modules[""].inputs] == ["tokens int64(2, 77)"]


def test_an_embedding_reads_the_rows_of_its_tokens_and_keeps_its_table(clip_text: Graph) -> None:
    table = rows(build_ledger(clip_text))["transformer.text_model.embeddings.token_embedding"]
    assert table.weight_read_bytes == 2 * 77 * 768 * 4
    assert table.read_bytes == 2 * 77 * 8  # the tokens, int64
    assert table.resident_weight_bytes == 49408 * 768 * 4
