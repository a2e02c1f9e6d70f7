"""From a prompt and pictures to a picture: every graph of the pipeline, one after another."""

from __future__ import annotations

import json
import re
import resource
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from time import perf_counter

import numpy as np

from onnxlens.api.annotate import NetworkRuns
from onnxlens.api.staging import staged
from onnxlens.errors import CheckpointError, UsageError
from onnxlens.pipeline.calls import Passes, control_batch, passes_of, timesteps_of
from onnxlens.pipeline.denoiser import Denoiser, Prompt, Steering, control_scales
from onnxlens.pipeline.graphs import Graphs
from onnxlens.pipeline.sampler import DdimStep, Floats, ddim_steps, denoised, gaussian, noised, sampled_latent
from onnxlens.pipeline.tokenizer import PromptTokenizer, tokenizer_of
from onnxlens.profile.runtime.machine import release_memory
from onnxlens.reference_model import catalog
from onnxlens.reference_model.annotators.control_image import ANNOTATORS, annotate
from onnxlens.reference_model.annotators.images import (
    Image,
    control_size,
    planes,
    read_image,
    resize_to_control,
    to_rgb,
    to_uint8,
    write_image,
)
from onnxlens.reference_model.annotators.maps import canny_map
from onnxlens.reference_model.pipeline import LATENT_SCALE
from onnxlens.reports.documents import GENERATE, generated_document
from onnxlens.specs.codec import to_text
from onnxlens.specs.generate import Control, Generated, GenerateRequest, Stage
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.progress import Progress, silent

RECORD = "generate.json"
"""The file beside the pictures that says how they were made, and so which files an earlier run left."""

OURS = re.compile(r"(picture-\d+|control-\d+-[a-z-]+)\.png")
"""The names of our pictures: a record names no other file to be removed."""

CANNY = "canny"


def generate_pictures(request: GenerateRequest, out: Path | str, progress: Progress = silent) -> Generated:
    """Generate pictures, and write them with their control images into a folder.

    Graphs are opened one after another and freed before the next; UNet and ControlNets run together. Nothing
    is written until all is complete.

    Raises:
        UsageError: a picture, a size or the folder cannot be used.
        CheckpointError: weights are missing, or another network's.
        ToolError: the package tokenizers is missing.
    """
    start, folder = perf_counter(), Path(out)
    paths = (*(control.picture for control in request.controls), request.start)
    pictures = {path: read_image(path) for path in paths if path is not None}
    height, width = _common_size(pictures, request.size)
    graphs = Graphs(request.backend, request.weights, height, width, progress)
    run = Generation(request, graphs, tokenizer_of(request.tokenizer, request.weights))
    run.check()
    with staged(folder, _earlier(folder)) as stage:
        controls = [
            _control_image(request, each, pictures[each.picture], graphs) for each in request.controls
        ]
        made = run.pictures(controls)
        generated = run.report(perf_counter() - start)
        for name, image in zip((*generated.controls, *generated.pictures), (*controls, *made), strict=True):
            write_image(image, stage / name)
        (stage / RECORD).write_text(to_text(generated_document(generated)), encoding="utf-8")
    return generated


def _earlier(folder: Path) -> Sequence[str]:
    """The pictures of an earlier run in the folder, as its record lists them."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        names = [*record["pictures"], *record["controls"]] if record["schema"] == GENERATE else []
        return [name for name in names if OURS.fullmatch(name)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _common_size(pictures: Mapping[Path, Image], short: int) -> tuple[int, int]:
    """Height and width of the picture to be made: what every control image comes to.

    Raises:
        UsageError: they differ, or the size is refused.
    """
    sizes = {path: control_size(each.shape[0], each.shape[1], short) for path, each in pictures.items()}
    first, (height, width) = next(iter(sizes.items()))
    for path, (high, wide) in sizes.items():
        if (high, wide) != (height, width):
            raise UsageError(
                f"{path}: becomes {high} x {wide} pixels, and {first} {height} x {width}; crop one of "
                "them to the other's shape"
            )
    return height, width


def _control_image(request: GenerateRequest, control: Control, picture: Image, graphs: Graphs) -> Image:
    """The control image, RGB (H, W, 3)."""
    start = perf_counter()
    if control.kind == CANNY:
        image = to_rgb(canny_map(resize_to_control(picture, request.size), request.low, request.high))
    else:
        with NetworkRuns(request.backend, request.weights, graphs.progress) as run:
            image = annotate(picture, control.kind, run, request.size)
        release_memory()
    graphs.stages.append(Stage(f"annotator {control.kind}", 1, 1, 0.0, perf_counter() - start))
    return image


@dataclass(slots=True)
class Generation:
    """What is asked for, and what runs it."""

    request: GenerateRequest
    graphs: Graphs
    tokenizer: PromptTokenizer
    notes: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Refuse unknown kinds, and weights that do not fit, before anything runs."""
        for control in self.request.controls:
            if control.kind not in ANNOTATORS:
                raise UsageError(f"unknown kind {control.kind!r}: the kinds are {', '.join(ANNOTATORS)}")
            if ANNOTATORS[control.kind].graphs and Path(self.request.weights).is_file():
                raise CheckpointError(
                    f"{self.request.weights}: a file of weights holds no annotator, which {control.kind} "
                    "needs; give a folder of published checkpoints"
                )
            for graph in ANNOTATORS[control.kind].graphs:
                self.graphs.require_weights(graph)
            self.graphs.require_weights("controlnet", self.graphs.of_control(control.kind))
        encoder = () if self.request.start is None else ("vae-encoder",)
        for graph in (*encoder, "clip-text", "sd-unet", "vae-decoder"):
            self.graphs.require_weights(graph)

    @property
    def guided(self) -> bool:
        """Whether the negative prompt takes part."""
        return self.request.scale != 1

    @property
    def steps(self) -> Sequence[DdimStep]:
        """All steps; from a starting picture, the last ones."""
        share = None if self.request.start is None else self.request.denoising
        return ddim_steps(timesteps_of(self.request.steps, share), self.request.eta)

    @property
    def passes(self) -> Passes:
        """The runs of the UNet in one step."""
        request = self.request
        return passes_of(guided=self.guided, guess_mode=request.guess_mode, schedule=request.schedule)

    @property
    def positive(self) -> str:
        """The prompt with what is added to it."""
        return ", ".join(filter(None, (self.request.prompt, self.request.added_prompt)))

    def pictures(self, controls: Sequence[Image]) -> Sequence[Image]:
        """The pictures, RGB (H, W, 3), for the control images."""
        generators = [np.random.default_rng(self.request.seed + i) for i in range(self.request.images)]
        prompts = self.prompts()
        starts = self._starts(generators)
        latents = self._denoised(starts, generators, prompts, controls)
        with self.graphs.open("vae-decoder", 1) as decoder:
            decoded = []
            for number, latent in enumerate(latents, start=1):
                self.graphs.progress(f"decoding picture {number} of {len(latents)}", 0, 0)
                image = decoder({"latent": latent / np.float32(LATENT_SCALE)})["image"]
                decoded.append(to_uint8(image[0].transpose(1, 2, 0) * 127.5 + 127.5))
        return decoded

    def prompts(self) -> Sequence[Prompt]:
        """The negative prompt, unless the guidance leaves it out, and the positive one."""
        texts = [self.request.negative, self.positive] if self.guided else [self.positive]
        tokens = [self.tokenizer(text) for text in texts]
        for text, found in zip(texts, tokens, strict=True):
            if found.lost:
                self.notes.append(
                    f"the prompt {text[:40]!r}... loses its last {found.lost} tokens of "
                    f"{self.tokenizer.name}: CLIP takes {found.ids.shape[1] - 2}"
                )
        with self.graphs.open("clip-text", len(texts)) as clip:
            self.graphs.progress("encoding the prompt", 0, 0)
            context = clip({"tokens": np.concatenate([found.ids for found in tokens])})["context"]
        rows = np.split(context, len(texts))
        return list(map(Prompt, rows, chain(*self.passes)))

    def _starts(self, generators: Sequence[np.random.Generator]) -> Sequence[Floats]:
        """The latents (1, 4, H/8, W/8) to start from: noise, or the starting picture's with noise added."""
        if self.request.start is None:
            shape = tuple(map(int, self._spec("vae-decoder").inputs[0].shape))
            return [gaussian(shape, generator) for generator in generators]
        picture = resize_to_control(read_image(self.request.start), self.request.size)
        with self.graphs.open("vae-encoder", 1) as encoder:
            self.graphs.progress("encoding the starting picture", 0, 0)
            moments = encoder({"image": planes(picture) / np.float32(127.5) - np.float32(1)})["moments"]
        first = self.steps[0]
        return [noised(sampled_latent(moments, generator), first, generator) for generator in generators]

    def _denoised(
        self,
        starts: Sequence[Floats],
        generators: Sequence[np.random.Generator],
        prompts: Sequence[Prompt],
        controls: Sequence[Image],
    ) -> Sequence[Floats]:
        """The latents after all steps."""
        steps, latents = self.steps, []
        with ExitStack() as stack, np.errstate(over="ignore", invalid="ignore"):  # looked at after each step
            denoiser = self.denoiser(stack, prompts, controls)
            for number, (x, generator) in enumerate(zip(starts, generators, strict=True), start=1):
                what = f"denoising picture {number} of {len(starts)}"
                self.graphs.progress(what, 0, len(steps))
                for done, latent in enumerate(denoised(x, steps, denoiser, generator), start=1):
                    if not np.isfinite(latent).all():
                        raise CheckpointError(
                            f"step {done} gave NaN or infinity; check the weights, and that --scale "
                            f"{self.request.scale:g} and each control's strength are no larger than usual"
                        )
                    x = latent
                    self.graphs.progress(what, done, len(steps))
                latents.append(x)
        return latents

    def denoiser(self, stack: ExitStack, prompts: Sequence[Prompt], controls: Sequence[Image]) -> Denoiser:
        """UNet and ControlNets, open until the stack closes; those of the same weights are one."""
        request = self.request
        left = iter(prompts)
        passes = tuple(tuple(islice(left, len(each))) for each in self.passes)
        outputs = self._spec("controlnet").outputs
        opened, steering = {}, []
        for control, image in zip(request.controls, controls, strict=True):
            weights = self.graphs.of_control(control.kind)
            if weights not in opened:
                opened[weights] = self.graphs.open("controlnet", control_batch(self.passes), weights)
            hint = planes(image) / np.float32(255)
            scales = control_scales(control.strength, request.guess_mode, len(outputs))
            steering.append(Steering(opened[weights], hint, scales))
        unet = self.graphs.open("sd-unet", len(passes[0]))
        self.graphs.open_together(stack, [*opened.values(), unet])
        return Denoiser(unet, outputs, tuple(steering), passes, request.scale)

    def _spec(self, graph: str) -> GraphSpec:
        return catalog.get(graph, batch=1, height=self.graphs.height, width=self.graphs.width)

    def report(self, seconds: float) -> Generated:
        """What was done."""
        request, steps = self.request, self.steps
        kinds = [control.kind for control in request.controls]
        if request.weights == "seeded":
            self.notes.append("with seeded weights the picture shows that every step runs, and nothing else")
        return Generated(
            prompt=self.positive,
            negative=request.negative if self.guided else "",
            backend=request.backend,
            schedule=request.schedule,
            weights=Path(request.weights).name,
            seeds=tuple(request.seed + index for index in range(request.images)),
            scale=request.scale,
            eta=request.eta,
            guess_mode=request.guess_mode,
            strengths=tuple(control.strength for control in request.controls),
            pictures=tuple(f"picture-{number}.png" for number in range(1, request.images + 1)),
            controls=tuple(f"control-{number}-{kind}.png" for number, kind in enumerate(kinds, start=1)),
            height=self.graphs.height,
            width=self.graphs.width,
            timesteps=tuple(step.timestep for step in steps),
            stages=tuple(self.graphs.stages),
            opening_s=self.graphs.opening_s,
            seconds=seconds,
            peak_memory_bytes=peak_memory_bytes(),
            notes=tuple(self.notes),
        )


def peak_memory_bytes() -> int:
    """The most memory that this process has held."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
