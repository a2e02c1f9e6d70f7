"""A picture to be generated: what is asked for, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Literal

from onnxlens.errors import UsageError
from onnxlens.specs.bounds import MOST_SAMPLES

Backend = Literal["torch", "onnx"]
Schedule = Literal["batched", "two-pass"]

MOST_STEPS, TRAINING_STEPS = 500, 1000

MOST_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Control:
    """A ControlNet at work.

    Attributes:
        kind: what its control image shows.
        picture: the file that the control image is made of.
        strength: what its controls are multiplied by.
    """

    kind: str
    picture: Path
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """What to generate; the defaults are the published demo's.

    Attributes:
        controls: one ControlNet each; their scaled outputs are added.
        added_prompt: joined to the prompt by a comma.
        weights: ``seeded``, a checkpoint of a ControlNet and Stable Diffusion, or a folder of such.
        tokenizer: a folder with CLIP's ``vocab.json`` and ``merges.txt``; None for that of the weights.
        start: the picture to start from; None starts from noise.
        denoising: the share of the steps that are run on it.
        scale: of guidance; 1 leaves the negative prompt out.
        eta: how much noise each step adds again: 0 is DDIM, 1 DDPM.
        guess_mode: the negative prompt gets no control, and controls of finer levels get less.
        size: the short side in pixels; both sides are rounded to multiples of 64.
        low, high: Canny's thresholds.
        schedule: both prompts in a batch of 2, or one after the other.

    Raises:
        UsageError: a value cannot be used.
    """

    prompt: str
    controls: tuple[Control, ...]
    added_prompt: str = "best quality, extremely detailed"
    negative: str = ""
    weights: str | Path = "seeded"
    tokenizer: Path | None = None
    start: Path | None = None
    denoising: float = 0.75
    steps: int = 20
    scale: float = 9.0
    eta: float = 0.0
    seed: int = 0
    guess_mode: bool = False
    size: int = 512
    images: int = 1
    low: float = 100
    high: float = 200
    backend: Backend = "torch"
    schedule: Schedule = "batched"

    def __post_init__(self) -> None:
        if not self.controls:
            raise UsageError("there is no control; give a picture for it, or several")
        for control in self.controls:
            if not isfinite(control.strength):
                raise UsageError(f"strength {control.strength}: expected a finite number")
        require_steps(self.steps)
        require_between("images", self.images, 1, MOST_SAMPLES)
        require_between("seed", self.seed, 0, MOST_SEED - self.images)
        require_between("eta", self.eta, 0, 1, "0 is DDIM, 1 DDPM")
        require_between("denoising", self.denoising, 0, 1, "the share of the steps")
        if not isfinite(self.scale):
            raise UsageError(f"scale {self.scale}: expected a finite number")
        if not 0 <= self.low <= self.high < float("inf"):
            raise UsageError(f"low {self.low:g} and high {self.high:g}: expected 0 <= low <= high")


def require_between(name: str, value: float, low: float, high: float, why: str = "") -> None:
    """Refuse a value that is not in a range."""
    if not low <= value <= high:
        raise UsageError(f"{name} {value}: expected {low} to {high}{f'; {why}' if why else ''}")


def require_steps(steps: int) -> None:
    """Refuse what the published schedule visits timestep 1000 for: training ended at 999."""
    require_between("steps", steps, 1, MOST_STEPS, "more visit timesteps that were not trained")

    def visits_end(count: int) -> bool:
        return (TRAINING_STEPS - 1) % (TRAINING_STEPS // count) == 0

    if steps > 1 and visits_end(steps):
        below = next(count for count in range(steps, 0, -1) if not visits_end(count))
        above = next(count for count in range(steps, MOST_STEPS + 1) if not visits_end(count))
        raise UsageError(
            f"steps {steps}: the published schedule would begin at timestep {TRAINING_STEPS}, and training "
            f"ended at {TRAINING_STEPS - 1}; give {below} or {above}"
        )


@dataclass(frozen=True, slots=True)
class Stage:
    """A graph of the pipeline, or an annotator with its networks.

    Attributes:
        batch: samples in one call.
        opening_s: until it could run: export, weights and session, or module.
        running_s: of all calls together.
    """

    name: str
    batch: int
    calls: int
    opening_s: float
    running_s: float


@dataclass(frozen=True, slots=True)
class Generated:
    """What was generated.

    Attributes:
        pictures: file names in the folder, one for each seed.
        controls: file names of the control images, likewise.
        height, width: of all of them, in pixels.
        timesteps: in the order they were run.
        stages: in the order they were closed.
        opening_s: in which graphs were opened; those opened together count once.
        seconds: from the request to the pictures.
        peak_memory_bytes: most that the process held, files mapped into memory included.
        notes: what a reader must know.
    """

    prompt: str
    negative: str
    backend: Backend
    schedule: Schedule
    weights: str
    seeds: tuple[int, ...]
    scale: float
    eta: float
    guess_mode: bool
    strengths: tuple[float, ...]
    pictures: tuple[str, ...]
    controls: tuple[str, ...]
    height: int
    width: int
    timesteps: tuple[int, ...]
    stages: tuple[Stage, ...]
    opening_s: float
    seconds: float
    peak_memory_bytes: int
    notes: tuple[str, ...]
