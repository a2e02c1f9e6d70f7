"""Parameters and MACs to the digit; torch's own counter, on the meta device, is the witness."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from onnxlens.reference_model import catalog

EmptyInputs = Callable[..., tuple[Tensor, ...]]

PARAMS = {
    "clip-text": 123_060_480,
    "controlnet": 361_279_120,
    "sd-unet": 859_520_964,
    "vae-encoder": 34_163_664,
    "vae-decoder": 49_490_199,
    "hed": 14_716_168,
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
    ("hed", 1): 80_210_296_832,
    ("control-ldm", 1): 141_645_987_840 + 401_636_720_640,
    ("control-ldm", 2): 283_291_975_680 + 803_273_441_280,
}


@pytest.mark.parametrize("graph", catalog.names())
def test_params(graph: str) -> None:
    module = catalog.get(graph).build("meta")
    assert sum(parameter.numel() for parameter in module.parameters()) == PARAMS[graph]


@pytest.mark.parametrize(("graph", "batch"), MACS_AT_512)
def test_macs_at_512(empty_inputs: EmptyInputs, graph: str, batch: int) -> None:
    spec = catalog.get(graph, batch=batch)
    module = spec.build("meta")
    with FlopCounterMode(display=False) as counter:
        module(*empty_inputs(spec))
    assert counter.get_total_flops() == 2 * MACS_AT_512[graph, batch]
