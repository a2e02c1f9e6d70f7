"""Parameters and MACs to the digit; torch's own counter, on the meta device, is the witness."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from onnxlens.reference_model import catalog
from onnxlens.specs.graph import GraphSpec

EmptyInputs = Callable[..., tuple[Tensor, ...]]

PARAMS = {
    "clip-text": 123_060_480,
    "controlnet": 361_279_120,
    "sd-unet": 859_520_964,
    "vae-encoder": 34_163_664,
    "vae-decoder": 49_490_199,
    "openpose-body": 52_311_446,
    "openpose-hand": 36_832_324,
    "mlsd-large": 1_533_680,
    "mlsd-tiny": 620_208,
    "hed": 14_716_168,
    "hed-bsds": 14_716_171,
    "midas-dpt-hybrid": 123_146_985,
    "uniformer-seg": 51_521_132,
    "control-ldm": 361_279_120 + 859_520_964,
}

MACS_AT_512 = {
    ("clip-text", 1): 6_649_251_840,
    ("controlnet", 1): 141_645_987_840,
    ("controlnet", 2): 283_291_975_680,
    ("sd-unet", 1): 401_636_720_640,
    ("sd-unet", 2): 803_273_441_280,
    ("vae-encoder", 1): 558_329_233_408,
    ("vae-decoder", 1): 1_257_259_466_752,
    ("openpose-body", 1): 263_131_234_304,
    ("openpose-hand", 1): 199_743_242_240,
    ("mlsd-large", 1): 25_465_323_520,
    ("mlsd-tiny", 1): 4_183_949_312,
    ("hed", 1): 80_210_296_832,
    ("hed-bsds", 1): 80_211_607_552,
    ("midas-dpt-hybrid", 1): 235_259_578_368,
    ("uniformer-seg", 1): 234_092_888_064,
    ("control-ldm", 1): 141_645_987_840 + 401_636_720_640,
    ("control-ldm", 2): 283_291_975_680 + 803_273_441_280,
}

# The sides that the published demo gives them for a square picture.
MACS_IN_THE_DEMO = {
    ("openpose-body", 184): 33_983_501_696,
    ("openpose-hand", 368): 103_187_671_040,
    ("midas-dpt-hybrid", 384): 127_614_339_072,
}


def counted_flops(spec: GraphSpec, inputs: tuple[Tensor, ...]) -> int:
    module = spec.build("meta")
    with FlopCounterMode(display=False) as counter:
        module(*inputs)
    return int(counter.get_total_flops())


@pytest.mark.parametrize("graph", catalog.names())
def test_params(graph: str) -> None:
    module = catalog.get(graph).build("meta")
    assert sum(parameter.numel() for parameter in module.parameters()) == PARAMS[graph]


@pytest.mark.parametrize(("graph", "batch"), MACS_AT_512)
def test_macs_at_512(empty_inputs: EmptyInputs, graph: str, batch: int) -> None:
    spec = catalog.get(graph, batch=batch)
    assert counted_flops(spec, empty_inputs(spec)) == 2 * MACS_AT_512[graph, batch]


@pytest.mark.parametrize(("graph", "side"), MACS_IN_THE_DEMO)
def test_macs_at_the_demo_s_sizes(empty_inputs: EmptyInputs, graph: str, side: int) -> None:
    spec = catalog.get(graph, height=side, width=side)
    assert counted_flops(spec, empty_inputs(spec)) == 2 * MACS_IN_THE_DEMO[graph, side]
