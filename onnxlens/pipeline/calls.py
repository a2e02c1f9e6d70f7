"""Which graphs a pipeline runs, at which batch and size, and how often: for ``generate`` and for a bill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from onnxlens.errors import UsageError
from onnxlens.reference_model.annotators.control_image import (
    ANNOTATORS,
    BASE_HEIGHT,
    BODY_SCALE,
    HAND_SCALES,
    padded_size,
)
from onnxlens.reference_model.annotators.images import control_size
from onnxlens.reference_model.pipeline import Sampling
from onnxlens.specs.bill import BillRequest, Call
from onnxlens.specs.generate import Schedule

DRAWING = "-drawing"
"""The end of a kind whose control image is drawn by hand, and whose ControlNet is the kind's without it."""

Passes = tuple[tuple[bool, ...], ...]
"""For each run of the UNet in a step the prompts in it, the negative first: whether controls steer each."""


def control_of(kind: str) -> str:
    """The kind that the ControlNet of a kind is published for."""
    return kind.removesuffix(DRAWING)


def passes_of(*, guided: bool, guess_mode: bool, schedule: Schedule) -> Passes:
    """The runs of the UNet in one step; ``guided``: the negative prompt takes part."""
    prompts = (not guess_mode, True) if guided else (True,)
    return (prompts,) if schedule == "batched" else tuple((each,) for each in prompts)


def control_batch(passes: Passes) -> int:
    """The prompts in one run of a ControlNet: passes that it has any in have equally many."""
    return max(map(sum, passes))


def timesteps_of(steps: int, denoising: float | None) -> Sequence[int]:
    """The timesteps that are run, falling; ``denoising``: the share of them, the last, from a picture on."""
    timesteps = Sampling(steps=steps).timesteps
    if denoising is None:
        return timesteps
    return timesteps[len(timesteps) - max(1, round(denoising * len(timesteps))) :]


def calls_of(request: BillRequest) -> tuple[Call, ...]:
    """Every graph that a pipeline runs, in order.

    Raises:
        UsageError: an unknown kind of control.
    """
    return tuple(_calls(request))


def _calls(request: BillRequest) -> Iterator[Call]:
    size = request.height, request.width
    for kind in request.kinds:
        yield from _annotator_calls(kind, request)
    yield Call("text", "clip-text", "clip-text", 1 + request.guided, None, None, 1, 0)
    if request.denoising is not None:
        yield Call("encoder", "vae-encoder", "vae-encoder", 1, *size, 1, 1)
    steps = len(timesteps_of(request.steps, request.denoising))
    passes = passes_of(guided=request.guided, guess_mode=request.guess_mode, schedule=request.schedule)
    steered, batch = steps * sum(map(any, passes)), control_batch(passes)
    networks = [f"controlnet {control_of(kind)}" for kind in request.kinds]
    for network in dict.fromkeys(networks):
        calls = steered * networks.count(network)
        yield Call("controlnet", "controlnet", network, batch, *size, calls * request.images, calls)
    runs = steps * len(passes)
    yield Call("unet", "sd-unet", "sd-unet", len(passes[0]), *size, runs * request.images, runs)
    yield Call("decoder", "vae-decoder", "vae-decoder", 1, *size, request.images, 1)


def _annotator_calls(kind: str, request: BillRequest) -> Iterator[Call]:
    """The runs of an annotator's networks for one picture."""
    if kind not in ANNOTATORS:
        raise UsageError(f"unknown kind {kind!r}: the kinds are {', '.join(ANNOTATORS)}")
    annotator, short = ANNOTATORS[kind], min(request.height, request.width)
    size = control_size(request.height, request.width, annotator.resolution or short)
    for graph in annotator.graphs:
        if graph == "openpose-body":
            yield Call("annotator", graph, graph, 1, *padded_size(*size, BODY_SCALE), 1, 1)
        elif graph == "openpose-hand":  # in square boxes, made as high at a scale whatever their side is
            for scale in HAND_SCALES if request.hands else ():
                box = padded_size(BASE_HEIGHT, BASE_HEIGHT, scale)
                yield Call("annotator", graph, graph, 1, *box, request.hands, request.hands)
        else:
            yield Call("annotator", graph, graph, 1, *size, 1, 1)
