"""Every graph traces on fake tensors: no weight is allocated and no control flow depends on data."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from onnxlens.reference_model import catalog

EmptyInputs = Callable[..., tuple[Tensor, ...]]


def user_inputs(program: torch.export.ExportedProgram) -> dict[str, Tensor]:
    """The inputs that are not weights, as fake tensors."""
    named = {node.name: node.meta["val"] for node in program.graph.find_nodes(op="placeholder")}
    return {str(name): named[name] for name in program.graph_signature.user_inputs}


OPEN = (
    "clip-text", "vae-encoder", "hed", "sd-unet", "openpose-body", "mlsd-tiny", "hed-bsds",
    "midas-dpt-hybrid", "uniformer-seg",
)  # fmt: skip
"""Traced with an open batch; the others have their layers, and are traced at their own."""

EXPORTED = ("controlnet", "vae-decoder", "openpose-hand", "mlsd-large")
"""Tests of the report's figures trace them at 512, too."""


def in_order(graph: str) -> list[str]:
    """The inputs as the catalog lists them."""
    return [tensor.name.replace("control_", "controls_") for tensor in catalog.get(graph).inputs]


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(name, marks=pytest.mark.slow if name in EXPORTED else ())
        for name in catalog.names()
        if name not in OPEN
    ],
)
def test_traces_at_512_with_inputs_in_the_catalog_s_order(empty_inputs: EmptyInputs, graph: str) -> None:
    spec = catalog.get(graph)
    with FakeTensorMode():
        program = torch.export.export(spec.build(), empty_inputs(spec, "cpu"), strict=False)
    assert list(user_inputs(program)) == in_order(graph)


@pytest.mark.parametrize("graph", OPEN)
def test_the_batch_stays_free_at_512_and_inputs_are_in_order(empty_inputs: EmptyInputs, graph: str) -> None:
    spec = catalog.get(graph, batch=2)  # torch.export would fix a batch of 1
    axes = [{0: torch.export.Dim("batch")} for _ in spec.inputs]
    shapes = (*axes[:3], tuple(axes[3:])) if graph == "sd-unet" else tuple(axes)
    with FakeTensorMode():
        inputs = empty_inputs(spec, "cpu")
        program = torch.export.export(spec.build(), inputs, strict=False, dynamic_shapes=shapes)
    inputs_of = user_inputs(program)
    assert list(inputs_of) == in_order(graph)
    assert all(isinstance(tensor.shape[0], torch.SymInt) for tensor in inputs_of.values())
