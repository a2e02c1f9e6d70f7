"""From prompt and picture to picture: what runs between the graphs of the catalog, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from onnxlens.errors import UsageError
from onnxlens.reference_model import catalog
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.tensor import TensorSpec

TRAINING_STEPS = 1000
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
        """Refuse what cannot be sampled.

        Raises:
            UsageError: there are no steps, or more than the network was trained on.
        """
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
    tensors = _tensors(sampling)
    stages = (*_text(tensors), *_control(tensors, sampling), *_loop(tensors, sampling), *_picture(tensors))
    return Pipeline(
        inputs=tuple(
            tensors[name] for name in ("prompt", "added_prompt", "negative_prompt", "input_picture", "seed")
        ),
        stages=stages,
        outputs=(tensors["picture"],),
    )


ANNOTATOR_STEPS: Mapping[str, tuple[str, str]] = {
    "hed": ("resize", "mean of 5 maps, sigmoid, x255"),
    "mlsd-large": ("resize, a plane of ones, / 127.5 - 1", "decode and draw lines"),
    "midas-dpt-hybrid": ("resize, / 127.5 - 1", "stretch to 0 .. 255"),
    "openpose-body": ("resize, / 256 - 0.5", "find peaks, join and draw limbs"),
}
"""What is done to the picture before each annotator, and to its outputs after."""

Tensors = Mapping[str, TensorSpec]


def _tensors(sampling: Sampling) -> Tensors:
    """The tensors that no graph makes, or that stages share, by name."""
    side = sampling.pixels
    step = _spec("control-ldm", sampling)
    decoder = _spec("vae-decoder", sampling)
    latent = decoder.inputs[0]
    shared = (
        *(
            TensorSpec(name, "string", ())
            for name in ("prompt", "added_prompt", "negative_prompt", "positive")
        ),
        TensorSpec("seed", "int64", ()),
        *(TensorSpec(name, "uint8", (side, side, 3)) for name in ("input_picture", "control_map", "picture")),
        _spec("clip-text", sampling).inputs[0],
        *step.inputs,
        step.outputs[0],
        *(
            replace(latent, name=name)
            for name in ("noise", "x_t", "x_next", "latent", "eps_negative", "eps_positive", "eps_guided")
        ),
        replace(decoder.outputs[0], name="decoded"),
        TensorSpec("schedule", "int64", (len(sampling.timesteps),)),
    )
    return {tensor.name: tensor for tensor in shared}


def _spec(graph: str, sampling: Sampling) -> GraphSpec:
    return catalog.get(graph, height=sampling.pixels, width=sampling.pixels)


def _pick(tensors: Tensors, names: str) -> tuple[TensorSpec, ...]:
    return tuple(tensors[name] for name in names.split())


def _text(tensors: Tensors) -> Iterator[Stage]:
    def stage(title: str, reads: str, makes: str, graph: str = "") -> Stage:
        return Stage(title, _pick(tensors, reads), _pick(tensors, makes), graph)

    yield stage("join: prompt, added prompt", "prompt added_prompt", "positive")
    yield stage("tokenizer, padded to 77", "negative_prompt positive", "tokens")
    yield stage("CLIP text encoder", "tokens", "context", "clip-text")


def _control(tensors: Tensors, sampling: Sampling) -> Iterator[Stage]:
    if sampling.annotator not in ANNOTATOR_STEPS:
        known = ", ".join(ANNOTATOR_STEPS)
        raise UsageError(f"annotator {sampling.annotator!r} is not described; choose one of {known}")
    before, after = ANNOTATOR_STEPS[sampling.annotator]
    spec = _spec(sampling.annotator, sampling)
    yield Stage(before, _pick(tensors, "input_picture"), spec.inputs)
    yield Stage(f"annotator: {sampling.annotator}", spec.inputs, spec.outputs, sampling.annotator)
    yield Stage(f"control map: {after}", spec.outputs, _pick(tensors, "control_map"))
    yield Stage("/ 255, once for each prompt", _pick(tensors, "control_map"), _pick(tensors, "hint"))


def _loop(tensors: Tensors, sampling: Sampling) -> Iterator[Stage]:
    controls = _spec("controlnet", sampling).outputs
    scaled = tuple(replace(control, name=f"scaled_{control.name}") for control in controls)
    first, second, *_, last = sampling.timesteps if sampling.steps > 2 else (*sampling.timesteps, 1, 1)
    yield Stage("noise from the seed", _pick(tensors, "seed"), _pick(tensors, "noise"))
    yield Stage(f"schedule: {first}, {second} .. {last}", (), _pick(tensors, "schedule"))
    looped = (
        ("x_t, at first the noise; stacked twice", "noise x_next", "x_t x"),
        ("next timestep, twice", "schedule", "timesteps"),
    )
    for title, reads, makes in looped:
        yield Stage(title, _pick(tensors, reads), _pick(tensors, makes), looped=True)
    inputs = _pick(tensors, "x hint timesteps context")
    yield Stage("ControlNet", inputs, controls, "controlnet", looped=True)
    yield Stage(f"strength {sampling.strength:g} x each control", controls, scaled, looped=True)
    inputs = _pick(tensors, "x timesteps context")
    yield Stage("UNet", (*inputs, *scaled), _pick(tensors, "eps"), "sd-unet", looped=True)
    guided = f"negative + {sampling.guidance_scale:g} x (positive - negative)"
    for title, reads, makes in (
        ("chunk: negative, positive", "eps", "eps_negative eps_positive"),
        (f"guidance: {guided}", "eps_negative eps_positive", "eps_guided"),
        (f"DDIM step, eta {sampling.eta:g}", "eps_guided x_t timesteps", "x_next"),
    ):
        yield Stage(title, _pick(tensors, reads), _pick(tensors, makes), looped=True)


def _picture(tensors: Tensors) -> Iterator[Stage]:
    yield Stage(f"/ {LATENT_SCALE:g}", _pick(tensors, "x_next"), _pick(tensors, "latent"))
    yield Stage("VAE decoder", _pick(tensors, "latent"), _pick(tensors, "decoded"), "vae-decoder")
    yield Stage("x 127.5 + 127.5, 0 .. 255", _pick(tensors, "decoded"), _pick(tensors, "picture"))
