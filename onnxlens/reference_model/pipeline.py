"""From prompt and picture to picture: what runs between the graphs of the catalog, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from onnxlens.errors import UsageError
from onnxlens.reference_model import catalog
from onnxlens.specs.generate import TRAINING_STEPS
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.tensor import TensorSpec

LATENT_SCALE = 0.18215
"""What the VAE's latents are multiplied by before the UNet sees them."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a picture is sampled; the defaults are the published demo's.

    Attributes:
        annotator: the catalog's graph that makes the control map.
        steps: how often the UNet runs.
        guidance_scale: how far the noise is shifted from the negative towards the positive prompt's.
        eta: how much noise each step adds again; 0 is DDIM.
        strength: what every control is multiplied by.
    """

    annotator: str = "hed"
    pixels: int = catalog.PIXELS
    steps: int = 20
    guidance_scale: float = 9.0
    eta: float = 0.0
    strength: float = 1.0

    def __post_init__(self) -> None:
        """Raises UsageError where there are no steps, or more than the network was trained on."""
        if not 1 <= self.steps <= TRAINING_STEPS:
            raise UsageError(f"{self.steps} steps: expected 1 to {TRAINING_STEPS}")

    @property
    def timesteps(self) -> Sequence[int]:
        """The timesteps in the order they are run: every (1000 // steps)-th, and 1; the last comes first."""
        return range(1, TRAINING_STEPS + 1, TRAINING_STEPS // self.steps)[::-1]


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the pipeline: a graph of the catalog, or a few operations.

    Attributes:
        title: what it does; for a graph what it is.
        reads, makes: tensors; a tensor comes from the stage that makes one of its name.
        graph: the catalog's name; "" for operations.
        looped: it runs once for each timestep.
    """

    title: str
    reads: tuple[TensorSpec, ...]
    makes: tuple[TensorSpec, ...]
    graph: str = ""
    looped: bool = False


@dataclass(frozen=True, slots=True)
class Pipeline:
    """All stages in the order they run; a stage that reads what a later one makes has it from the loop."""

    inputs: tuple[TensorSpec, ...]
    stages: tuple[Stage, ...]
    outputs: tuple[TensorSpec, ...]


def pipeline(sampling: Sampling) -> Pipeline:
    """The pipeline at one setting, every shape that a graph has taken from the catalog.

    Raises:
        UsageError: the annotator is not described here, or a size cannot be taken.
    """
    if sampling.annotator not in ANNOTATOR_STEPS:
        known = ", ".join(ANNOTATOR_STEPS)
        raise UsageError(f"annotator {sampling.annotator!r} is not described; choose one of {known}")
    tensors = _tensors(sampling)
    stages = (*_text(tensors), *_control(tensors, sampling), *_loop(tensors, sampling), *_picture(tensors))
    inputs = _pick(tensors, "prompt added_prompt negative_prompt input_picture seed")
    return Pipeline(inputs, stages, _pick(tensors, "picture"))


ANNOTATOR_STEPS: Mapping[str, tuple[str, str]] = {
    "hed": ("resize", "mean of 5 maps, sigmoid, x255"),
    "mlsd-large": ("resize, a plane of ones, / 127.5 - 1", "decode and draw lines"),
    "midas-dpt-hybrid": ("resize, / 127.5 - 1", "stretch to 0 .. 255"),
    "uniformer-seg": ("resize, - mean, / deviation", "resize, best class, its color"),
    "openpose-body": ("resize, / 256 - 0.5", "find peaks, join and draw limbs"),
}
"""What is done to the picture before each annotator, and to its outputs after."""

Tensors = Mapping[str, TensorSpec]


def _tensors(sampling: Sampling) -> Tensors:
    """The tensors that no graph makes, or that stages share, by name."""
    side = sampling.pixels
    step = _spec("control-ldm", sampling)
    decoder = _spec("vae-decoder", sampling)
    texts = ("prompt", "added_prompt", "negative_prompt", "positive")
    latents = ("noise", "x_t", "x_next", "latent", "eps_negative", "eps_positive", "eps_guided")
    shared = (
        *(TensorSpec(name, "string", ()) for name in texts),
        TensorSpec("seed", "int64", ()),
        *(TensorSpec(name, "uint8", (side, side, 3)) for name in ("input_picture", "control_map", "picture")),
        _spec("clip-text", sampling).inputs[0],
        *step.inputs,
        step.outputs[0],
        *(replace(decoder.inputs[0], name=name) for name in latents),
        replace(decoder.outputs[0], name="decoded"),
        TensorSpec("schedule", "int64", (len(sampling.timesteps),)),
    )
    return {tensor.name: tensor for tensor in shared}


def _spec(graph: str, sampling: Sampling) -> GraphSpec:
    return catalog.get(graph, height=sampling.pixels, width=sampling.pixels)


def _pick(tensors: Tensors, names: str) -> tuple[TensorSpec, ...]:
    return tuple(tensors[name] for name in names.split())


def _stage(tensors: Tensors, title: str, reads: str, makes: str, graph: str = "") -> Stage:
    return Stage(title, _pick(tensors, reads), _pick(tensors, makes), graph)


def _text(tensors: Tensors) -> Iterator[Stage]:
    yield _stage(tensors, "join: prompt, added prompt", "prompt added_prompt", "positive")
    yield _stage(tensors, "tokenizer, padded to 77", "negative_prompt positive", "tokens")
    yield _stage(tensors, "CLIP text encoder", "tokens", "context", "clip-text")


def _control(tensors: Tensors, sampling: Sampling) -> Iterator[Stage]:
    before, after = ANNOTATOR_STEPS[sampling.annotator]
    spec = _spec(sampling.annotator, sampling)
    yield Stage(before, _pick(tensors, "input_picture"), spec.inputs)
    yield Stage(f"annotator: {sampling.annotator}", spec.inputs, spec.outputs, sampling.annotator)
    yield Stage(f"control map: {after}", spec.outputs, _pick(tensors, "control_map"))
    yield _stage(tensors, "/ 255, once for each prompt", "control_map", "hint")


def _loop(tensors: Tensors, sampling: Sampling) -> Iterator[Stage]:
    """What makes the noise and the schedule, then what runs once for each timestep."""
    first, second, *_, last = sampling.timesteps if sampling.steps > 2 else (*sampling.timesteps, 1, 1)
    yield _stage(tensors, "noise from the seed", "seed", "noise")
    yield _stage(tensors, f"schedule: {first}, {second} .. {last}", "", "schedule")
    controls = _spec("controlnet", sampling).outputs
    scaled = tuple(replace(control, name=f"scaled_{control.name}") for control in controls)
    guided = f"negative + {sampling.guidance_scale:g} x (positive - negative)"
    looped = (
        _stage(tensors, "x_t, at first the noise; stacked twice", "noise x_next", "x_t x"),
        _stage(tensors, "next timestep, twice", "schedule", "timesteps"),
        Stage("ControlNet", _pick(tensors, "x hint timesteps context"), controls, "controlnet"),
        Stage(f"strength {sampling.strength:g} x each control", controls, scaled),
        Stage("UNet", (*_pick(tensors, "x timesteps context"), *scaled), _pick(tensors, "eps"), "sd-unet"),
        _stage(tensors, "chunk: negative, positive", "eps", "eps_negative eps_positive"),
        _stage(tensors, f"guidance: {guided}", "eps_negative eps_positive", "eps_guided"),
        _stage(tensors, f"DDIM step, eta {sampling.eta:g}", "eps_guided x_t timesteps", "x_next"),
    )
    yield from (replace(stage, looped=True) for stage in looped)


def _picture(tensors: Tensors) -> Iterator[Stage]:
    yield _stage(tensors, f"/ {LATENT_SCALE:g}", "x_next", "latent")
    yield _stage(tensors, "VAE decoder", "latent", "decoded", "vae-decoder")
    yield _stage(tensors, "x 127.5 + 127.5, 0 .. 255", "decoded", "picture")
