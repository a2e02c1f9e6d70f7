"""Conventions on graphs that are small enough to count by hand, and what cannot be counted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

import onnxlens as api
from onnxlens.errors import UsageError
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.reports.tables.reconciliation import reconciliation_table
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.peers import PeerCost, ReconciledOperator, summed
from onnxlens.specs.tensor import TensorSpec
from tests.profile.count.conventions import nets
from tests.profile.models import op, save, value, weight

VIT_TOKENS, VIT_WIDTH = 2 * 9, 16
VIT_LINEAR = VIT_TOKENS * VIT_WIDTH * VIT_WIDTH * (3 + 1 + 4 + 4)  # q, k, v; out; the MLP's two
VIT_PRODUCTS = 2 * (2 * 9 * 9 * VIT_WIDTH)  # two batches: q k^T and scores v, over all heads


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vit")
    return api.export_graph(f"{nets.__name__}:vit", folder, api.Settings(weights="none")).onnx_path


def peer_of(ledger: Ledger, path: str = "") -> PeerCost:
    found = next(module.peer for module in ledger.modules if module.path == path)
    assert found is not None
    return found


def test_our_own_convention_has_no_peer(vit: Path) -> None:
    ledger = build_ledger(load_graph(vit))
    assert ledger.convention == "matrix"
    assert ledger.totals.macs == VIT_LINEAR + VIT_PRODUCTS
    assert {row.peer for row in (*ledger.nodes, *ledger.modules, *ledger.operators, ledger.totals)} == {None}


def test_fvcore_counts_linear_layers_and_norms_and_no_fused_attention(vit: Path) -> None:
    ledger = build_ledger(load_graph(vit), "fvcore")
    norms = VIT_TOKENS * VIT_WIDTH * (5 + 4)  # the second norm has no parameters
    assert peer_of(ledger).macs == VIT_LINEAR + norms
    assert peer_of(ledger).cause.split("; ")[0] == "no handler for scaled_dot_product_attention: uncounted"
    assert ledger.totals.macs == VIT_LINEAR + VIT_PRODUCTS  # next to our own count


def test_thop_sees_only_modules_with_a_hook(vit: Path) -> None:
    ledger = build_ledger(load_graph(vit), "thop")
    mlp = VIT_TOKENS * VIT_WIDTH * VIT_WIDTH * (4 + 4)
    assert peer_of(ledger, "mlp").macs == mlp
    assert peer_of(ledger, "attention").macs == 0  # MultiheadAttention has no hook, and calls no nn.Linear
    assert peer_of(ledger).macs == mlp + VIT_TOKENS * VIT_WIDTH * (4 + 2)
    assert "linear in MultiheadAttention: not seen by hooks" in peer_of(ledger, "attention").cause


def test_onnx_tool_counts_nodes_on_weights_too(tmp_path: Path) -> None:
    nodes = [op("Exp", "w", "v"), op("Mul", "x v", "y")]
    path = save(tmp_path, nodes, [value("x", (3, 4))], [value("y", (3, 4))], [weight("w", 3, 4)])
    ledger = build_ledger(load_graph(path), "onnx-tool")
    assert [(node.status, node.peer.macs if node.peer else None) for node in ledger.nodes] == [
        ("free", 32 * 12),
        ("counted", 12),
    ]
    assert peer_of(ledger).macs == 33 * 12


def test_a_scalar_counts_nothing_for_onnx_tool(tmp_path: Path) -> None:
    path = save(tmp_path, [op("Exp", "x", "y")], [value("x", ())], [value("y", ())])
    assert peer_of(build_ledger(load_graph(path), "onnx-tool")).macs == 0


def test_an_unknown_shape_is_unknown_to_the_peer_too(tmp_path: Path) -> None:
    path = save(tmp_path, [op("Exp", "x", "y")], [value("x", ("n",))], [value("y", ("n",))])
    count, reason = build_ledger(load_graph(path), "onnx-tool").unknown
    assert count == 1
    assert "dynamic" in reason


@pytest.mark.parametrize("peer", ["fvcore", "thop"])
def test_a_file_without_modules_is_refused_for_those_who_count_modules(peer: str, tmp_path: Path) -> None:
    path = save(tmp_path, [op("Exp", "x", "y")], [value("x", (1,))], [value("y", (1,))])
    with pytest.raises(UsageError, match=f"{peer} counts PyTorch modules.*export it with .*dynamo=True"):
        build_ledger(load_graph(path), peer)  # type: ignore[arg-type]


def test_a_file_without_modules_is_reconciled_with_those_who_count_nodes(tmp_path: Path) -> None:
    path = save(tmp_path, [op("Exp", "x", "y")], [value("x", (3,))], [value("y", (3,))])
    found = api.reconcile_graph(path)
    assert {name: cost.macs for name, cost in found.totals.peers.items()} == {"onnx-tool": 3 * 32}
    assert found.notes["thop"].startswith("not shown: it counts PyTorch modules")
    printed = reconciliation_table(found, "csv")
    assert printed.splitlines()[0] == "operator,nodes,MACs,onnx-tool MACs,where the difference comes from"


class Fused(nn.Module):
    """A pattern that the exporter's optimizer fuses, and a norm whose scale is ambiguous after that."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.norm = nn.LayerNorm(5, elementwise_affine=False)
        self.cell = nn.LSTMCell(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.bn(self.conv(x)))
        return self.cell(x.reshape(-1, 5))[0]


@pytest.fixture(scope="module")
def optimized(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """A file from another exporter: optimized, without a manifest."""
    path = tmp_path_factory.mktemp("optimized") / "fused.onnx"
    program = torch.onnx.export(Fused().eval(), (torch.zeros(1, 3, 5, 5),), dynamo=True, verbose=False)
    assert program is not None
    program.save(str(path))
    return load_graph(path)


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")
def test_what_an_optimizer_fused_is_unknown_and_not_zero(optimized: Graph) -> None:
    fvcore = build_ledger(optimized, "fvcore")
    reasons = {node.peer.reason for node in fvcore.nodes if node.peer and node.peer.unknown_nodes}
    assert any("does not say which PyTorch call it is part of" in reason for reason in reasons), reasons
    assert any("does not distinguish parameters from constants" in reason for reason in reasons), reasons


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")
def test_a_hook_that_cannot_be_followed_is_unknown(optimized: Graph) -> None:
    cell = peer_of(build_ledger(optimized, "thop"), "cell")
    assert cell.unknown_nodes == 1
    assert "a hook counts torch.nn.modules.rnn.LSTMCell" in cell.reason


class Pooled(nn.Module):
    """Adaptive pooling as functions, which the exporter writes as a mean and as average pooling."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.adaptive_avg_pool2d(x, 4)
        return functional.adaptive_avg_pool2d(x, 1)


def pooled() -> GraphSpec:
    x, y = TensorSpec("x", "float32", (1, 3, 8, 8)), TensorSpec("y", "float32", (1, 3, 1, 1))
    return GraphSpec("pooled", "user", Pooled, (x,), (y,), input_ranges={"x": (0.0, 1.0)})


def test_adaptive_pooling_by_function_is_unknown_in_fvcores_convention(tmp_path: Path) -> None:
    """fvcore counts it; what the file says is what plain pooling says, which fvcore does not count."""
    target = f"{__name__}:pooled"
    count, reason = api.profile_graph(target, api.Settings(weights="none"), convention="fvcore").unknown
    assert count == 2
    assert reason == "avg_pool2d: may be adaptive pooling, which counts; the file does not say"


def test_the_largest_differences_name_the_causes_of_a_sum() -> None:
    costs = [(10, PeerCost(11, cause="a")), (0, PeerCost(5, cause="b")), (0, PeerCost(5, cause="b"))]
    costs += [(0, PeerCost(2, cause="c")), (3, PeerCost(1, cause="d")), (7, PeerCost(7))]
    costs += [(9, PeerCost(unknown_nodes=1, reason="stops", cause="e"))]
    # b 10, e 9, c and d 2 each, a 1: three are shown
    assert summed(costs) == PeerCost(11 + 5 + 5 + 2 + 1 + 7, 1, "stops", "b; e; c")


def test_a_reconciliation_adds_up_and_names_every_type_once(vit: Path) -> None:
    found = api.reconcile_graph(vit)
    assert len({row.op_type for row in found.operators}) == len(found.operators)
    for peer in ("onnx-tool", "fvcore", "thop"):
        assert sum(row.peers[peer].macs for row in found.operators) == found.totals.peers[peer].macs
    assert sum(row.macs for row in found.operators) == found.totals.macs == VIT_LINEAR + VIT_PRODUCTS
    softmax = row_of(found.operators, "Softmax")
    # two batches, four heads, 9 x 9 scores
    assert softmax.peers["onnx-tool"] == PeerCost(36 * 2 * 4 * 81, cause="36 an element")
    assert softmax.peers["fvcore"] == softmax.peers["thop"] == PeerCost()


def row_of(rows: tuple[ReconciledOperator, ...], op_type: str) -> ReconciledOperator:
    return next(row for row in rows if row.op_type == op_type)


@pytest.fixture(scope="module")
def vae_decoder(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """At full size, for one picture."""
    folder = tmp_path_factory.mktemp("vae")
    return load_graph(api.export_graph("vae-decoder", folder, api.Settings(weights="none")).onnx_path)


def test_a_long_group_norm_is_counted_where_it_is_exported_in_two_steps(vae_decoder: Graph) -> None:
    """The last norm is not an InstanceNormalization: 128 channels at 512 x 512, 5 each."""
    ledger = build_ledger(vae_decoder, "fvcore")
    assert ledger.unknown == (0, "")
    assert peer_of(ledger, "decoder.norm_out").macs == 5 * 128 * 512 * 512


def test_thops_figure_of_the_decoder_is_the_published_one(vae_decoder: Graph) -> None:
    """Published for Stable Diffusion 1.4, without the first convolution: 4 to 4 channels at 64 x 64."""
    assert peer_of(build_ledger(vae_decoder, "thop")).macs == 1_240_079_532_032 + 64 * 64 * 4 * 4


@pytest.mark.parametrize("opset", [21, 23])
def test_the_count_is_the_same_at_every_opset(opset: int, vit: Path) -> None:
    later = api.Settings(weights="none", opset=opset)
    for convention in ("fvcore", "thop"):
        found = api.profile_graph(f"{nets.__name__}:vit", later, convention=convention).totals.peer
        expected = peer_of(build_ledger(load_graph(vit), convention))
        assert found is not None
        assert found.macs == expected.macs


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("clip-text", 6_545_882_112),
        pytest.param("sd-unet", 338_749_194_240, marks=pytest.mark.slow),
    ],
)
def test_thops_figure_of_other_networks_is_the_published_one(name: str, published: int) -> None:
    """Published for Stable Diffusion 1.4 and one picture."""
    total = api.profile_graph(name, api.Settings(batch=1), convention="thop").totals.peer
    assert total is not None
    assert total.macs == published
