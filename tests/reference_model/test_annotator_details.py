"""Details of single annotators: activations, paddings, standardized weights, position embeddings."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from onnxlens.reference_model import catalog
from onnxlens.reference_model.annotators.hed import MEAN_BGR, HedBsds
from onnxlens.reference_model.annotators.midas import DptHybrid, FusionBlock
from onnxlens.reference_model.annotators.mlsd import ConvBnReLU6
from onnxlens.reference_model.annotators.openpose import PoseConv
from onnxlens.reference_model.annotators.resnet_v2 import (
    WEIGHT_EPSILON,
    ResNetStem,
    StandardizedConv,
    same_padding,
)
from onnxlens.reference_model.annotators.vision_transformer import HybridVit
from onnxlens.reference_model.config import DptHybridConfig

SMALL_DPT = DptHybridConfig(
    stem_channels=32, stage_channels=(128, 128, 128), stage_blocks=(1, 1, 2), pretrained_grid=4,
    width=32, heads=2, mlp_width=64, depth=4, taps=(1, 2), classes=3, fusion_channels=16,
)  # fmt: skip


def layers_without_activation(graph: str) -> set[str]:
    module = catalog.get(graph).build("meta")
    return {
        name
        for name, layer in module.named_modules()
        if isinstance(layer, PoseConv) and isinstance(layer.relu, nn.Identity)
    }


def test_the_body_s_branches_end_without_activation_but_for_the_last_heatmap() -> None:
    ends = {f"conv5_5_CPM_{branch}" for branch in ("L1", "L2")}
    ends |= {f"Mconv7_stage{stage}_{branch}" for stage in range(2, 7) for branch in ("L1", "L2")}
    assert layers_without_activation("openpose-body") == ends - {"Mconv7_stage6_L2"}


def test_the_hand_s_stages_end_without_activation() -> None:
    ends = {"conv6_2_CPM", *(f"Mconv7_stage{stage}" for stage in range(2, 7))}
    assert layers_without_activation("openpose-hand") == ends


def test_hed_bsds_takes_the_mean_of_its_training_away() -> None:
    network = HedBsds().eval()
    seen: list[Tensor] = []
    network.moduleVggOne.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    image = torch.tensor(MEAN_BGR)[:, None, None].expand(1, 3, 16, 17) / 255
    with torch.inference_mode():
        edge = network(image)
    assert edge.shape == (1, 1, 16, 17)
    assert seen[0].abs().max() < 1e-4
    assert MEAN_BGR == (104.00698793, 116.66876762, 122.67891434)


def test_a_strided_convolution_of_mlsd_is_padded_right_and_bottom() -> None:
    conv = ConvBnReLU6(1, 1, kernel=3, stride=2).eval()
    nn.init.constant_(conv.get_parameter("0.weight"), 0.5)  # nine of them stay under the ceiling of ReLU6
    with torch.inference_mode():
        sums = conv(torch.ones(1, 1, 4, 4)) * (1 + 1e-5) ** 0.5
    # of the four windows of 3 x 3, the right ones lack a column and the lower ones a row
    assert sums.flatten().tolist() == pytest.approx([9 / 2, 6 / 2, 6 / 2, 4 / 2], rel=1e-6)


@pytest.mark.parametrize("graph", ["mlsd-large", "mlsd-tiny"])
def test_mlsd_pads_by_hand_where_it_strides_and_nowhere_else(graph: str) -> None:
    backbone = catalog.get(graph).build("meta").get_submodule("backbone")
    convs = [layer for layer in backbone.modules() if isinstance(layer, nn.Conv2d)]
    assert all(conv.bias is None for conv in convs)
    strided = [conv for conv in convs if conv.stride == (2, 2)]
    assert [conv.padding for conv in strided] == [(0, 0)] * 4  # the stem, and groups 2, 3 and 4
    kept = [conv.padding for conv in convs if conv.kernel_size == (3, 3) and conv.stride == (1, 1)]
    assert set(kept) == {(1, 1)}


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [
        (64, 7, 2, (2, 3)),  # 32 positions reach over 31 * 2 + 7 = 69
        (64, 3, 2, (0, 1)),
        (63, 3, 2, (1, 1)),
        (64, 3, 1, (1, 1)),
        (64, 1, 2, (0, 0)),  # 31 * 2 + 1 = 63: nothing is taken away where there is enough
        (64, 1, 1, (0, 0)),
    ],
)
def test_same_padding_puts_the_smaller_half_first(
    size: int, kernel: int, stride: int, expected: tuple[int, int]
) -> None:
    assert same_padding(size, kernel, stride) == expected


def test_the_stem_s_pooling_never_sees_its_padding() -> None:
    stem = ResNetStem(32).eval()
    stem.act = nn.Identity()  # without it, values are negative too, and padding with 0 would show
    nn.init.zeros_(stem.norm.weight)
    nn.init.constant_(stem.norm.bias, -1.0)
    with torch.inference_mode():
        assert stem(torch.rand(1, 3, 32, 32)).max() == -1


def test_standardized_weights_have_mean_0_and_variance_1_for_each_output_channel() -> None:
    conv = StandardizedConv(2, 3, kernel=3).double()
    nn.init.uniform_(conv.weight, 1.0, 1.001)  # a variance of 8e-8, so that the epsilon of 1e-8 shows
    impulses = torch.zeros(2, 2, 5, 5, dtype=torch.float64)
    impulses[0, 0, 2, 2] = impulses[1, 1, 2, 2] = 1
    with torch.inference_mode():
        rows = conv(impulses)[:, :, 1:4, 1:4]  # an impulse's answer is the kernel, turned round
    used = rows.permute(1, 0, 2, 3).flatten(1)  # (3, 2 * 3 * 3)
    raw = conv.weight.detach().flatten(1)
    variance = raw.var(dim=1, correction=0)
    assert WEIGHT_EPSILON == 1e-8
    assert used.mean(dim=1).abs().max() < 1e-9
    assert torch.allclose(used.var(dim=1, correction=0), variance / (variance + 1e-8), rtol=1e-9)


def small_dpt() -> DptHybrid:
    torch.manual_seed(0)
    network = DptHybrid(SMALL_DPT)
    for parameter in network.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    return network.double().eval().requires_grad_(False)


def test_positions_at_the_learned_grid_are_the_learned_ones() -> None:
    vit = small_dpt().pretrained.model
    assert torch.equal(vit._positions(4, 4), vit.pos_embed)


def test_positions_at_another_grid_keep_rows_and_columns_apart() -> None:
    vit = HybridVit(SMALL_DPT)
    rows = torch.arange(4.0).repeat_interleave(4)  # the embedding of a position is its row
    vit.pos_embed.data[0, 1:] = rows[:, None]
    positions = vit._positions(8, 2)
    assert torch.equal(positions[:, :1], vit.pos_embed[:, :1])
    # eight rows over four: centers at -0.25, 0.25, 0.75, ..., held at the ends
    expected = torch.tensor([0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0]).repeat_interleave(2)
    assert torch.allclose(positions[0, 1:, 0], expected)


def test_unused_modules_of_depth_are_those_of_the_published_network() -> None:
    network = small_dpt()
    ran: set[str] = set()
    for name, module in network.named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.add(name))
    network(torch.rand(1, 3, 64, 32, dtype=torch.float64))
    idle = {name for name, module in network.named_modules() if [*module.parameters(recurse=False)]} - ran
    assert idle == {
        "pretrained.model.norm",
        "pretrained.model.head",
        "scratch.refinenet4.resConfUnit1.conv1",
        "scratch.refinenet4.resConfUnit1.conv2",
    }


def test_a_residual_unit_adds_what_came_before_any_activation() -> None:
    block = FusionBlock(2).eval()
    unit = block.resConfUnit2
    for parameter in unit.parameters():
        nn.init.zeros_(parameter)
    x = -torch.ones(1, 2, 3, 3)
    assert torch.equal(unit(x), x)


@pytest.mark.parametrize(
    "graph", ["openpose-hand", "mlsd-tiny", "hed-bsds", "midas-dpt-hybrid", "uniformer-seg"]
)
def test_rows_of_a_batch_do_not_meet(graph: str) -> None:
    torch.manual_seed(0)
    spec = catalog.get(graph, batch=2, height=64, width=32)
    module = spec.build() if graph != "midas-dpt-hybrid" else small_dpt()
    dtype = next(module.parameters()).dtype
    image = torch.rand([int(side) for side in spec.inputs[0].shape], dtype=dtype)
    with torch.inference_mode():
        both = module(image)
        for row in range(2):
            assert torch.allclose(both[row : row + 1], module(image[row : row + 1]), rtol=1e-4, atol=1e-5)
