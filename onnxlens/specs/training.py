"""What one step of training costs: computed, held, and kept for the backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from onnxlens.errors import UsageError
from onnxlens.specs.record import record

TrainingMode = Literal["middle", "sd-locked", "full"]
MODES: tuple[TrainingMode, ...] = get_args(TrainingMode)
"""The published ways to train a ControlNet."""

REFERENCE = "control-ldm"
"""The graph of the catalog that they are of."""

REFERENCE_UNITS = ("ResBlock", "TransformerBlock")
"""What its published code checkpoints."""


@record(frozen=True, slots=True)
class Optimizer:
    """What an optimizer of PyTorch holds for each parameter that it has updated.

    Attributes:
        copies: tensors of the parameter's size and type.
        counters: of steps, in float32.
    """

    copies: int
    counters: int


OPTIMIZERS: Mapping[str, Optimizer] = MappingProxyType(
    {
        "adamw": Optimizer(2, 1),
        "adam": Optimizer(2, 1),
        "nadam": Optimizer(2, 2),
        "adagrad": Optimizer(1, 1),
        "rmsprop": Optimizer(1, 1),
        "sgd-momentum": Optimizer(1, 0),
        "sgd": Optimizer(0, 0),
    }
)
"""By name, as torch.optim makes them with their defaults (``sgd-momentum`` with a momentum)."""


@record(frozen=True, slots=True)
class TrainingRequest:
    """How it is trained.

    Attributes:
        modes: of the reference model; empty for one in which all parameters are trained.
        optimizer: of ``OPTIMIZERS``.
        units: names of classes; their calls keep what they are given alone, and run again in the backward
            pass.
    """

    modes: tuple[TrainingMode, ...] = ()
    optimizer: str = "adamw"
    units: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise UsageError(f"optimizer {self.optimizer!r} is none of {', '.join(OPTIMIZERS)}; choose one")


@record(frozen=True, slots=True)
class ModuleTraining:
    """A module with all inside it, in one step.

    Attributes:
        macs: of the forward pass.
        recomputed_macs: of checkpointed calls, which run twice.
        input_gradient_macs: of gradients that are passed on.
        weight_gradient_macs: of gradients of parameters.
        trained_params: that the optimizer is given.
        reached_params: those of them that get a gradient.
        optimizer_bytes: after the first step.
        saved_bytes: kept from the forward pass to the backward pass, each memory once, by the first module
            that keeps it; parameters apart.
        needed_bytes: of these what a gradient reads.
    """

    path: str
    class_name: str
    macs: int
    recomputed_macs: int
    input_gradient_macs: int
    weight_gradient_macs: int
    params: int
    trained_params: int
    reached_params: int
    weight_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    saved_bytes: int
    needed_bytes: int

    @property
    def backward_macs(self) -> int:
        """Of all gradients, and of what runs again for them."""
        return self.recomputed_macs + self.input_gradient_macs + self.weight_gradient_macs

    @property
    def total_bytes(self) -> int:
        """All that is held when the backward pass begins, with the gradients that it makes."""
        return self.weight_bytes + self.gradient_bytes + self.optimizer_bytes + self.saved_bytes


@record(frozen=True, slots=True)
class TrainingCost:
    """One mode.

    Attributes:
        mode: "" where all parameters are trained.
        dtype: of the parameters.
        recomputed_bytes: what the checkpointed call that keeps most keeps while it runs again.
        modules: in the order of the network, the whole first.
        unknown: operators whose MACs and memory are not known, and how often they ran: all is a lower bound.
    """

    mode: str
    title: str
    dtype: str
    recomputed_bytes: int
    modules: tuple[ModuleTraining, ...]
    unknown: Mapping[str, int]

    @property
    def totals(self) -> ModuleTraining:
        """Of the whole network."""
        return self.modules[0]


@record(frozen=True, slots=True)
class TrainingReport:
    """The modes that were asked for; ``batch`` is None where a factory decides on it."""

    graph: str
    batch: int | None
    request: TrainingRequest
    costs: tuple[TrainingCost, ...]
