"""What a language model costs in its two phases: reading a prompt, and a step that makes one more token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Literal, get_args

from onnxlens.errors import UsageError
from onnxlens.specs.bench import NOISY_RATIO, LatencyResult
from onnxlens.specs.bounds import MOST_BATCH
from onnxlens.specs.ledger import Attribution, Bounds, is_lower_bound
from onnxlens.specs.record import record
from onnxlens.specs.tensor import TensorSpec

Phase = Literal["prefill", "decode"]
PHASES: tuple[Phase, ...] = get_args(Phase)

CacheKind = Literal["growing", "buffer", "state", "cross", "paged"]
"""A row per token; as many rows as it has, of which some are in use; as large whatever was read; of another
sequence; blocks that sequences share."""

FoundBy = Literal["operator", "name", "pattern"]
Part = Literal["embedding", "layers", "head"]
PARTS: tuple[Part, ...] = get_args(Part)

PROMPTS, CONTEXTS, BATCHES = (128, 1024), (1024, 8192, 32768), (1,)
"""What is asked unless something else is."""

MOST_POINTS = 256
MOST_TOKENS = 2**31 - 1


@record(frozen=True, slots=True)
class CacheInput:
    """An input that holds what earlier tokens left, and the output that hands it on.

    Attributes:
        tensor: with the file's own dimensions.
        output: "" where none is known.
        operator: what reads it, where that told it.
        batch_axis, length_axis: None where it has none.
        window: of a buffer that slides, the tokens that it must hold at least.
    """

    tensor: TensorSpec
    output: str
    kind: CacheKind
    found_by: FoundBy
    operator: str = ""
    batch_axis: int | None = 0
    length_axis: int | None = None
    window: int | None = None


@record(frozen=True, slots=True)
class PhasesRequest:
    """Which points are asked for.

    Attributes:
        prompts: tokens that are read at once, with an empty cache.
        contexts: tokens that the cache holds before a step.
        batches: sequences at once.
        given: the names of those of the three that were typed: only what was not may be left out.
        cache: a regular expression for the names of caches; "" to find them.
        runs: of each measurement.
    """

    prompts: tuple[int, ...] = PROMPTS
    contexts: tuple[int, ...] = CONTEXTS
    batches: tuple[int, ...] = BATCHES
    given: frozenset[str] = frozenset()
    cache: str = ""
    runs: int = 10

    def __post_init__(self) -> None:
        for name, most in (("prompts", MOST_TOKENS), ("contexts", MOST_TOKENS), ("batches", MOST_BATCH)):
            sizes = getattr(self, name)
            if not sizes or len(set(sizes)) < len(sizes) or not all(1 <= size <= most for size in sizes):
                raise UsageError(
                    f"{name} {', '.join(map(str, sizes)) or '(none)'}: give whole numbers from 1 to "
                    f"{most:,}, each once"
                )
        points = (len(self.prompts) + len(self.contexts)) * len(self.batches)
        if points > MOST_POINTS:
            raise UsageError(f"{points} points are asked for; give at most {MOST_POINTS}")


@record(frozen=True, slots=True)
class PhaseCost:
    """What a graph, or a part of it, costs at one point.

    Attributes:
        cache_read_bytes, cache_write_bytes: of the caches, by all nodes.
        activation_bytes: read and written of all else that is no weight.
        bound_s: the least time on each chip, by its label.
        limited_by: what limits it, likewise; "" where nothing takes time.
        lower_bounds: the figures that lack those of unknown nodes.
    """

    macs: int
    vector_ops: int
    special_ops: int
    weight_read_bytes: int
    cache_read_bytes: int
    cache_write_bytes: int
    activation_bytes: int
    unknown_nodes: int = 0
    bound_s: Mapping[str, float] = field(default_factory=dict)
    limited_by: Mapping[str, str] = field(default_factory=dict)
    lower_bounds: Bounds = None

    @property
    def flops(self) -> int:
        """2 x MACs + elementwise + transcendental ops."""
        return 2 * self.macs + self.vector_ops + self.special_ops

    @property
    def moved_bytes(self) -> int:
        """Everything that is read and written."""
        caches = self.cache_read_bytes + self.cache_write_bytes
        return self.weight_read_bytes + caches + self.activation_bytes

    @property
    def arithmetic_intensity(self) -> float | None:
        """FLOPs per byte moved; None where one of them is not known."""
        known = not is_lower_bound("moved_bytes", self.lower_bounds)
        return self.flops / self.moved_bytes if self.moved_bytes and known else None


@record(frozen=True, slots=True)
class PhasePoint:
    """One phase at one size.

    Attributes:
        tokens: new ones of each sequence: the prompt, or 1.
        context: tokens in the cache before.
        cost: of the whole graph.
        parts: of the embedding, the head and all between them; only those that there are.
        cache_bytes: what the caches hold afterwards, once.
        live_bytes: the most activations that are alive at once, caches apart.
        memory_bytes: weights, caches and these: the least that it takes, each cache grown where it is.
        measured: one run in ONNX Runtime, where that is asked for.
    """

    phase: Phase
    batch: int
    tokens: int
    context: int
    cost: PhaseCost
    parts: Mapping[Part, PhaseCost]
    cache_bytes: int
    live_bytes: int
    memory_bytes: int
    measured: LatencyResult | None = None

    @property
    def length(self) -> int:
        """What the table calls it by: the prompt or the context."""
        return self.tokens if self.phase == "prefill" else self.context


@record(frozen=True, slots=True)
class PhaseRow:
    """A module with all inside it, or several equal ones together.

    Attributes:
        path: of the first of them.
        paths: of all of them.
        part: the embedding or the head, where it is one.
        costs: of all of them together, by the points' order.
    """

    path: str
    class_name: str
    depth: int
    paths: tuple[str, ...]
    part: Part | None
    costs: tuple[PhaseCost, ...]


@record(frozen=True, slots=True)
class Fit:
    """The longest context with which a step fits a chip's memory.

    Attributes:
        context: tokens in the cache before the step; None where not even one fits, or the context does not
            matter.
        is_limited: whether the memory sets it: else the file's positions do.
    """

    label: str
    batch: int
    memory_bytes: int
    context: int | None
    is_limited: bool = True


@record(frozen=True, slots=True)
class PhasesReport:
    """The phases of a language model.

    Attributes:
        caches: the inputs that are caches, in the file's order.
        cache_bytes_per_token: what one token adds to the caches of one sequence.
        cache_fixed_bytes: what one sequence's caches hold whatever its length.
        outweighs: by batch, the least context at which the caches hold more than the weights; None where
            they never do.
        positions: the tokens that the file has positions for; None where it does not say.
        points: prefill first, by batch and length.
        rows: the modules, in the order of execution.
        chips: the labels of the chips, each with its title.
        stored_as: the dtype in which floats are taken to be held; "" for the file's.
        machine, load_before, load_after: of the measurement; empty and None without one.
    """

    graph: str
    source: str
    opset: int
    attribution: Attribution
    params: int
    resident_weight_bytes: int
    caches: tuple[CacheInput, ...]
    cache_bytes_per_token: int
    cache_fixed_bytes: int
    outweighs: Mapping[int, int | None]
    positions: int | None
    points: tuple[PhasePoint, ...]
    rows: tuple[PhaseRow, ...]
    chips: Mapping[str, str] = field(default_factory=dict)
    fits: tuple[Fit, ...] = ()
    stored_as: str = ""
    notes: tuple[str, ...] = ()
    machine: Mapping[str, str] = field(default_factory=dict)
    load_before: float | None = None
    load_after: float | None = None

    def of(self, phase: Phase) -> Sequence[PhasePoint]:
        """The points of one phase."""
        return [point for point in self.points if point.phase == phase]

    @property
    def noise(self) -> tuple[str, ...]:
        """Why the machine counts as noisy during the measurement; empty if it was not, or there is none."""
        cores = int(self.machine.get("cores", 0))
        loads = [
            f"load average {load:.1f} {when} on {cores} cores"
            for load, when in ((self.load_before, "before"), (self.load_after, "after"))
            if load is not None and load > cores
        ]
        times = [point.measured for point in self.points if point.measured is not None]
        spread = sum(time.p90_s > NOISY_RATIO * time.p10_s for time in times)
        wide = (
            [f"p90 is more than {NOISY_RATIO} times p10 at {spread} of {len(times)} points"] if spread else []
        )
        return (*wide, *loads)


def outweighing_context(weight_bytes: int, fixed_bytes: int, per_token_bytes: int, batch: int) -> int | None:
    """The least context at which ``batch`` sequences' caches hold more than the weights."""
    left = weight_bytes - batch * fixed_bytes
    if left < 0:
        return 0
    return left // (batch * per_token_bytes) + 1 if per_token_bytes else None
