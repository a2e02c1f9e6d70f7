"""What a whole pipeline costs: every graph, how often it runs, and all of it together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import fsum, isfinite
from typing import Literal

from onnxlens.errors import UsageError
from onnxlens.specs.bench import LatencyResult
from onnxlens.specs.bounds import MOST_PIXELS, MOST_SAMPLES
from onnxlens.specs.generate import Schedule, require_between, require_steps

StageKind = Literal["annotator", "text", "encoder", "controlnet", "unet", "decoder"]
UNET_PIXELS = 64
RATES = (1e-6, 1e6)
"""Of a video, in pictures per second."""

MOST_POINTS = 256
"""Of a sweep."""


@dataclass(frozen=True, slots=True)
class BillRequest:
    """What is run; the defaults are the published demo's.

    Attributes:
        kinds: one ControlNet each, equal kinds with the same weights; none for Stable Diffusion alone.
        denoising: the share of the steps that are run on a starting picture; None starts from noise.
        scale: of guidance; 1 leaves the negative prompt out.
        guess_mode: the negative prompt gets no control.
        height, width: of the picture, in pixels.
        schedule: both prompts in a batch of 2, or one after the other.
        hands: that openpose finds in a picture: each is looked for at four scales.
        stored_as: floats are as if held so, such as int8; "" for float32.
        rate: pictures per second of a video; None for none.

    Raises:
        UsageError: a value cannot be used.
    """

    kinds: tuple[str, ...] = ("canny",)
    steps: int = 20
    scale: float = 9.0
    denoising: float | None = None
    guess_mode: bool = False
    images: int = 1
    height: int = 512
    width: int = 512
    schedule: Schedule = "batched"
    hands: int = 2
    stored_as: str = ""
    rate: float | None = None

    def __post_init__(self) -> None:
        require_steps(self.steps)
        require_between("images", self.images, 1, MOST_SAMPLES)
        require_between("controls", len(self.kinds), 0, MOST_SAMPLES)
        require_between("hands", self.hands, 0, MOST_SAMPLES)
        if self.denoising is not None:
            require_between("denoising", self.denoising, 0, 1, "the share of the steps")
        if not isfinite(self.scale):
            raise UsageError(f"scale {self.scale}: expected a finite number")
        if self.rate is not None:
            require_between("rate", self.rate, *RATES, "pictures per second")
        for side in (self.height, self.width):
            require_between("size", side, UNET_PIXELS, MOST_PIXELS)
            if side % UNET_PIXELS:
                below = side // UNET_PIXELS * UNET_PIXELS
                raise UsageError(
                    f"size {side}: ControlNet and UNet take multiples of {UNET_PIXELS} pixels; give {below} "
                    f"or {below + UNET_PIXELS}"
                )

    @property
    def guided(self) -> bool:
        """Whether the negative prompt takes part."""
        return self.scale != 1


@dataclass(frozen=True, slots=True)
class Call:
    """A graph at one batch and size, and how often it is run.

    Attributes:
        network: whose weights it has: the graph, of a ControlNet with its kind.
        height, width: of its picture, in pixels; None where it takes none.
        calls: for all pictures together.
        frame_calls: for one more picture of the same prompt, with control images of its own.
    """

    stage: StageKind
    graph: str
    network: str
    batch: int
    height: int | None
    width: int | None
    calls: int
    frame_calls: int


@dataclass(frozen=True, slots=True)
class GraphCost:
    """What one call of a graph costs.

    Attributes:
        peak_live_bytes: the most activations that are alive at once.
        bound_s: the least time on each chip, by its label, whatever is fused.
        limited_by: what limits it, likewise.
    """

    macs: int
    vector_ops: int
    special_ops: int
    weight_read_bytes: int
    read_bytes: int
    write_bytes: int
    params: int
    resident_weight_bytes: int
    peak_live_bytes: int
    bound_s: Mapping[str, float] = field(default_factory=dict)
    limited_by: Mapping[str, str] = field(default_factory=dict)

    @property
    def flops(self) -> int:
        """2 x MACs + elementwise + transcendental ops."""
        return 2 * self.macs + self.vector_ops + self.special_ops

    @property
    def moved_bytes(self) -> int:
        """Everything that is read and written, where nothing is fused."""
        return self.weight_read_bytes + self.read_bytes + self.write_bytes


@dataclass(frozen=True, slots=True)
class BillStage:
    """One line of the bill.

    Attributes:
        measured: one call in ONNX Runtime, where that is asked for.
    """

    call: Call
    cost: GraphCost
    measured: LatencyResult | None = None


Times = Callable[[Call], int | Fraction]
"""How often a call counts."""


@dataclass(frozen=True, slots=True)
class BillSum:
    """Several stages together, each as often as it is run.

    Attributes:
        bound_s: on each chip, graphs one after the other.
        measured_s: None where nothing was measured.
    """

    macs: float
    flops: float
    moved_bytes: float
    bound_s: Mapping[str, float]
    measured_s: float | None


@dataclass(frozen=True, slots=True)
class Bill:
    """What a whole pipeline costs.

    Attributes:
        timesteps: how many are run.
        stages: in the order in which they run.
        chips: the labels of the chips, each with its title.
        notes: what a reader must know.
        machine: that measured; empty where nothing was.
    """

    request: BillRequest
    timesteps: int
    stages: tuple[BillStage, ...]
    chips: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    machine: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> BillSum:
        """All pictures."""
        return self.sum_of(self.stages)

    @property
    def per_image(self) -> BillSum:
        """One of them, its share of what all have in common included."""
        return self.sum_of(self.stages, lambda call: Fraction(call.calls, self.request.images))

    @property
    def per_second(self) -> BillSum | None:
        """A second of video: every picture has control images of its own, and all have one prompt."""
        if self.request.rate is None:
            return None
        rate = Fraction(self.request.rate)
        return self.sum_of(self.stages, lambda call: call.frame_calls * rate)

    @property
    def per_step(self) -> BillSum:
        """One step of one picture."""
        steps = self.timesteps * self.request.images
        return self.sum_of(self.loop, lambda call: Fraction(call.calls, steps))

    def sum_of(self, stages: Sequence[BillStage], times: Times = lambda call: call.calls) -> BillSum:
        """Any stages together; whole numbers stay whole."""
        weighted = [(each, Fraction(times(each.call))) for each in stages]
        measured = [each.measured.median_s * count for each, count in weighted if each.measured is not None]
        macs, flops, moved_bytes = (
            _whole(sum((getattr(each.cost, name) * count for each, count in weighted), Fraction(0)))
            for name in ("macs", "flops", "moved_bytes")
        )
        bound_s = {
            chip: fsum(each.cost.bound_s[chip] * count for each, count in weighted) for chip in self.chips
        }
        return BillSum(macs, flops, moved_bytes, bound_s, fsum(measured) if measured else None)

    def resident_weight_bytes(self, stages: Sequence[BillStage] | None = None) -> int:
        """The weights of all networks of the stages, each once."""
        networks = {each.call.network: each.cost for each in (self.stages if stages is None else stages)}
        return sum(cost.resident_weight_bytes for cost in networks.values())

    @property
    def loop(self) -> Sequence[BillStage]:
        """What runs in every step."""
        return [each for each in self.stages if each.call.stage in ("controlnet", "unet")]

    @property
    def peak_live_bytes(self) -> int:
        """The most activations that are alive at once: graphs run one after the other."""
        return max(each.cost.peak_live_bytes for each in self.stages)

    @property
    def memory_bytes(self) -> int:
        """All weights, and the most activations."""
        return self.resident_weight_bytes() + self.peak_live_bytes


def _whole(number: Fraction) -> int | float:
    return int(number) if number.denominator == 1 else float(number)
