"""The catalog: its declarations are true of the modules, and it refuses bad input in one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor

from onnxlens.errors import UsageError
from onnxlens.reference_model import catalog

EmptyInputs = Callable[..., tuple[Tensor, ...]]

ROOT = Path(__file__).parents[2]
UNET_LIKE = ("controlnet", "sd-unet", "control-ldm")


@pytest.mark.parametrize("graph", catalog.names())
@pytest.mark.parametrize(("height", "width"), [(512, 512), (192, 320)])
def test_outputs_are_as_declared(empty_inputs: EmptyInputs, graph: str, height: int, width: int) -> None:
    spec = catalog.get(graph, height=height, width=width)
    outputs = spec.build("meta")(*empty_inputs(spec))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    found = [(str(output.dtype), tuple(output.shape)) for output in outputs]
    assert found == [(f"torch.{tensor.dtype}", tensor.shape) for tensor in spec.outputs]


@pytest.mark.parametrize(("graph", "last"), [("hed", (1, 1, 6, 4)), ("hed-bsds", (1, 1, 101, 67))])
def test_hed_takes_sides_that_no_pooling_divides(
    empty_inputs: EmptyInputs, graph: str, last: tuple[int, ...]
) -> None:
    spec = catalog.get(graph, height=101, width=67)
    outputs = spec.build("meta")(*empty_inputs(spec))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    assert [tuple(output.shape) for output in outputs] == [tensor.shape for tensor in spec.outputs]
    assert spec.outputs[-1].shape == last  # of hed, 101 and 67 halved four times, rounded down


def test_the_annotators_tensors_at_512() -> None:
    tensors = {
        graph: {tensor.name: tensor.shape for tensor in (*spec.inputs, *spec.outputs)}
        for graph in catalog.names()
        if (spec := catalog.get(graph)).family == "annotator" and graph != "hed"
    }
    assert tensors == {
        "openpose-body": {"image": (1, 3, 512, 512), "paf": (1, 38, 64, 64), "heatmap": (1, 19, 64, 64)},
        "openpose-hand": {"image": (1, 3, 512, 512), "heatmap": (1, 22, 64, 64)},
        "mlsd-large": {"image": (1, 4, 512, 512), "lines": (1, 9, 256, 256)},
        "mlsd-tiny": {"image": (1, 4, 512, 512), "lines": (1, 9, 256, 256)},
        "hed-bsds": {"image": (1, 3, 512, 512), "edge": (1, 1, 512, 512)},
        "midas-dpt-hybrid": {"image": (1, 3, 512, 512), "depth": (1, 512, 512)},
        "uniformer-seg": {"image": (1, 3, 512, 512), "scores": (1, 150, 128, 128)},
    }


def test_the_pair_s_tensors_at_512() -> None:
    controlnet, unet = catalog.get("controlnet"), catalog.get("sd-unet")
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in controlnet.inputs] == [
        ("x", "float32", (2, 4, 64, 64)),
        ("hint", "float32", (2, 3, 512, 512)),
        ("timesteps", "int64", (2,)),
        ("context", "float32", (2, 77, 768)),
    ]
    assert [tensor.name for tensor in controlnet.outputs] == [f"control_{index}" for index in range(13)]
    assert [tensor.shape[1:3] for tensor in controlnet.outputs] == [
        *[(320, 64)] * 3, (320, 32), *[(640, 32)] * 2, (640, 16), *[(1280, 16)] * 2, *[(1280, 8)] * 4
    ]  # fmt: skip
    assert [tensor.name for tensor in unet.inputs[:3]] == ["x", "timesteps", "context"]
    assert unet.inputs[3:] == controlnet.outputs


@pytest.mark.parametrize("graph", catalog.names())
def test_batch_is_two_where_guidance_doubles_it(graph: str) -> None:
    expected = 2 if graph in (*UNET_LIKE, "clip-text") else 1
    assert {tensor.shape[0] for tensor in catalog.get(graph).inputs} == {expected}
    assert {tensor.shape[0] for tensor in catalog.get(graph, batch=3).inputs} == {3}


@pytest.mark.parametrize("graph", catalog.names())
def test_the_batch_alone_may_vary(graph: str) -> None:
    spec = catalog.get(graph)
    assert spec.dynamic_axes == {tensor.name: {0: "batch"} for tensor in spec.inputs}


def test_samples_stay_in_their_range() -> None:
    assert catalog.get("clip-text").input_ranges == {"tokens": (0, 49407)}
    assert catalog.get("hed").input_ranges == {"image": (0, 255)}
    assert catalog.get("hed-bsds").input_ranges == {"image": (0, 1)}
    for graph in ("openpose-body", "openpose-hand"):
        assert catalog.get(graph).input_ranges == {"image": (-0.5, 0.5)}
    for graph in ("vae-encoder", "mlsd-large", "mlsd-tiny", "midas-dpt-hybrid"):
        assert catalog.get(graph).input_ranges == {"image": (-1, 1)}
    # (0 - 123.675) / 58.395 = -2.1 and (255 - 103.53) / 57.375 = 2.6, in round figures
    assert catalog.get("uniformer-seg").input_ranges == {"image": (-2, 2.5)}
    assert catalog.get("control-ldm").input_ranges == {
        "x": (-1, 1), "hint": (0, 1), "timesteps": (0, 999), "context": (-1, 1)
    }  # fmt: skip


def test_every_graph_has_a_title() -> None:
    assert all(catalog.get(graph).title for graph in catalog.names())


def test_modules_are_built_for_inference() -> None:
    module = catalog.get("hed").build("meta")
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_clip_text_has_no_picture() -> None:
    assert catalog.get("clip-text", height=7, width=0).inputs == catalog.get("clip-text").inputs


@pytest.mark.parametrize(
    ("graph", "settings", "complaint"),
    [
        ("sd-unet", {"height": 96}, "height 96 is not a multiple of 64 pixels; use 64 or 128"),
        ("control-ldm", {"width": 500}, "width 500 is not a multiple of 64 pixels; use 448 or 512"),
        ("vae-decoder", {"width": 17}, "width 17 is not a multiple of 8 pixels; use 16 or 24"),
        ("controlnet", {"height": 32}, "height 32 is too small; use at least 64 pixels"),
        ("vae-encoder", {"height": 0}, "height 0 is too small; use at least 8 pixels"),
        ("hed", {"width": 15}, "width 15 is too small; use at least 16 pixels"),
        ("hed-bsds", {"height": 15}, "height 15 is too small; use at least 16 pixels"),
        ("openpose-body", {"height": 180}, "height 180 is not a multiple of 8 pixels; use 176 or 184"),
        ("openpose-hand", {"width": 4}, "width 4 is too small; use at least 8 pixels"),
        ("mlsd-large", {"width": 520}, "width 520 is not a multiple of 16 pixels; use 512 or 528"),
        ("mlsd-tiny", {"height": 8}, "height 8 is too small; use at least 16 pixels"),
        ("midas-dpt-hybrid", {"height": 400}, "height 400 is not a multiple of 32 pixels; use 384 or 416"),
        ("uniformer-seg", {"width": 16}, "width 16 is too small; use at least 32 pixels"),
        ("hed", {"batch": 0}, "batch 0 is too small; use at least 1"),
        ("clip-text", {"batch": -1}, "batch -1 is too small; use at least 1"),
    ],
)
def test_a_size_that_cannot_be_is_refused(graph: str, settings: dict[str, int], complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        catalog.get(graph, **settings)
    assert str(caught.value) == f"graph {graph!r}: {complaint}"


def test_smallest_sizes_run(empty_inputs: EmptyInputs) -> None:
    for graph in catalog.names():
        spec = catalog.get(graph)
        smallest = catalog.get(graph, batch=1, height=spec.min_size, width=spec.min_size)
        smallest.build("meta")(*empty_inputs(smallest))


@pytest.mark.parametrize("ask", [catalog.get, catalog.checkpoint_names])
def test_an_unknown_graph_is_answered_with_the_nearest_and_all(ask: Callable[[str], object]) -> None:
    with pytest.raises(UsageError) as caught:
        ask("sd-unte")
    listed = ", ".join(catalog.names())
    assert str(caught.value) == f"unknown graph 'sd-unte': did you mean 'sd-unet'? the graphs are {listed}"
    with pytest.raises(UsageError, match="^unknown graph 'xyzzy': the graphs are clip-text, controlnet, "):
        ask("xyzzy")


def test_the_catalog_has_tolerances_and_structure_only_graphs() -> None:
    specs = [catalog.get(name) for name in catalog.names()]
    assert {spec.name: spec.tolerance for spec in specs if spec.tolerance != 1e-5} == {
        "midas-dpt-hybrid": 1e-4
    }
    assert [spec.name for spec in specs if spec.structure_only] == ["control-ldm"]
    assert (catalog.tolerance("midas-dpt-hybrid"), catalog.tolerance("resnet")) == (1e-4, 1e-5)


def test_asking_imports_no_torch() -> None:
    code = (
        "import sys; from onnxlens.reference_model import catalog; "
        "[catalog.get(name) for name in catalog.names()]; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
