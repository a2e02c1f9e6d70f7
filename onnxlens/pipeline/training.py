"""What a training step of a network costs, module by module."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from onnxlens.api.target import Settings, Target, is_file, resolve
from onnxlens.errors import UsageError
from onnxlens.export.network import Network
from onnxlens.pipeline.autograd import Recording, Storage, recorded
from onnxlens.reference_model.controlnet import ControlLdm
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.module_state import slots
from onnxlens.specs.progress import Progress, silent
from onnxlens.specs.tensor import TensorSpec, is_floating
from onnxlens.specs.training import (
    OPTIMIZERS,
    REFERENCE,
    ModuleTraining,
    Optimizer,
    TrainingCost,
    TrainingMode,
    TrainingReport,
    TrainingRequest,
)

if TYPE_CHECKING:
    from torch import nn

REFERENCE_BATCH = 4
"""Of the published training."""

COUNTER_BYTES = 4
CONTROL = "control_model."
DECODER = ("model.diffusion_model.output_blocks.", "model.diffusion_model.out.")


@dataclass(frozen=True, slots=True)
class Mode:
    """A published way to train: parameters that begin so are trained."""

    title: str
    trained: tuple[str, ...]
    only_mid_control: bool = False


PUBLISHED: Mapping[TrainingMode, Mode] = {
    "middle": Mode("SD locked, middle control alone", (CONTROL,), only_mid_control=True),
    "sd-locked": Mode("SD locked", (CONTROL,)),
    "full": Mode("SD unlocked", (CONTROL, *DECODER)),
}
"""As the published code has them: its ``sd_locked`` and ``only_mid_control``."""


def training_cost(
    target: Target = REFERENCE,
    settings: Settings | None = None,
    request: TrainingRequest | None = None,
    progress: Progress = silent,
) -> TrainingReport:
    """Count what one training step computes and holds; no weight is read and nothing is computed.

    Args:
        target: a graph of the catalog or ``package.module:factory``; all its parameters are trained, but for
            the modes of ``control-ldm``.
        settings: batch (4 for graphs of the catalog), size and dtype.
        request: modes, optimizer, checkpointing.
        progress: shows the steps.

    Raises:
        UsageError: a file, which has no module; a mode of another network; it does not run.
    """
    asked, chosen = request or TrainingRequest(), settings or Settings()
    if is_file(target):
        raise UsageError(f"{target}: a file has no module; name a graph or PACKAGE.MODULE:FACTORY")
    if ":" not in str(target) and chosen.batch is None:
        chosen = replace(chosen, batch=REFERENCE_BATCH)
    resolved = resolve(str(target), chosen)
    if asked.modes and target != REFERENCE:
        raise UsageError(f"{target}: --mode is of {REFERENCE}; every parameter of another network is trained")
    costs = []
    for index, mode in enumerate(asked.modes or (None,)):
        title = PUBLISHED[mode].title if mode else "all parameters trained"
        progress(f"{resolved.spec.name}: {title}", index, len(asked.modes) or 1)
        costs.append(cost_of(resolved.spec, mode, asked))
    return TrainingReport(resolved.spec.name, resolved.sizes.get("batch"), asked, tuple(costs))


def cost_of(spec: GraphSpec, mode: TrainingMode | None, request: TrainingRequest) -> TrainingCost:
    """What a step of one mode costs.

    Raises:
        UsageError: the network does not run, or no module is of a class that is to be checkpointed.
    """
    chosen = PUBLISHED[mode] if mode else Mode("all parameters trained", ("",))
    network = Network(_with_middle_control(spec) if chosen.only_mid_control else spec)
    classes = {type(child).__name__ for child in network.module.modules()}
    if lacking := [each for each in request.units if each not in classes]:
        raise UsageError(
            f"{spec.name}: no module is a {lacking[0]}; its classes are {', '.join(sorted(classes))}"
        )
    parameters = _parameters(network)
    trained = [name for name in parameters if name.startswith(chosen.trained)]
    recording = recorded(network, trained, request.units)
    step = _Step(recording)
    own = _own_costs(step, parameters, frozenset(trained), OPTIMIZERS[request.optimizer])
    classes_of = {path: type(child).__name__ for path, child in network.module.named_modules()}
    dtypes = {each.dtype for each in parameters.values()}
    unknown = Counter(each.name for each in recording.operations if not each.is_known) + recording.functions
    return TrainingCost(
        mode or "",
        chosen.title,
        "/".join(sorted(dtypes)) or "no parameters",
        step.recomputed_bytes,
        _with_all_inside(own, classes_of),
        dict(unknown),
    )


def _with_middle_control(spec: GraphSpec) -> GraphSpec:
    """The network whose UNet takes the middle block's control alone."""

    def factory() -> nn.Module:
        module = spec.factory()
        assert isinstance(module, ControlLdm)  # only the reference model has modes
        module.config = replace(module.config, only_mid_control=True)
        return module

    return replace(spec, factory=factory)


def _parameters(network: Network) -> Mapping[str, TensorSpec]:
    """Those that can have gradients, each once under its first name."""
    named = {slot.name for slot in slots(network.module) if slot.kind == "parameter"}
    return {
        name: spec
        for name, spec in network.state.tensors.items()
        if name in named and (is_floating(spec.dtype) or spec.dtype.startswith("complex"))
    }


class _Step:
    """What of a recording takes part in a step: what a gradient of the loss passes."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.active = [each for each in recording.operations if recording.passed.intersection(each.nodes)]
        self.units = {each.unit for each in recording.kept if each.unit is not None}

    def kept(self, *, needed: bool = False) -> Mapping[str, set[Storage]]:
        """The memory that is kept for the backward pass, by the module that keeps it first."""
        needless = {(node, memory) for each in self.active for node in each.nodes for memory in each.needless}
        found: dict[str, set[Storage]] = defaultdict(set)
        seen = set(self.recording.parameters)
        for each in self.recording.kept:
            if each.unit is not None:
                path, kept = self.recording.units[each.unit]
            elif needed and (each.node, each.storage) in needless:
                continue
            else:
                path, kept = each.module, frozenset({each.storage})
            found[path] |= kept - seen
            seen |= kept
        return found

    @property
    def recomputed_bytes(self) -> int:
        """What the checkpointed call that keeps most keeps, beside what it is given."""
        sizes: dict[int, set[Storage]] = defaultdict(set)
        for each in self.recording.kept:
            if each.unit is not None:
                sizes[each.unit].add(each.storage)
        known = set(self.recording.parameters)
        return max(
            (self.bytes_of(kept - self.recording.units[unit][1] - known) for unit, kept in sizes.items()),
            default=0,
        )

    def bytes_of(self, storages: Iterable[Storage]) -> int:
        """The size of memory."""
        return sum(self.recording.sizes[each] for each in storages)


def _own_costs(
    step: _Step, parameters: Mapping[str, TensorSpec], trained: Collection[str], optimizer: Optimizer
) -> Mapping[str, Counter[str]]:
    """What each module costs without those inside it, by the names of a module's fields."""
    own: dict[str, Counter[str]] = defaultdict(Counter)
    for each in step.recording.operations:
        own[each.module]["macs"] += each.macs
        if each.unit in step.units:
            own[each.module]["recomputed_macs"] += each.macs * each.reruns
    for each in step.active:
        own[each.module]["input_gradient_macs"] += each.gradient_macs[0]
        own[each.module]["weight_gradient_macs"] += each.gradient_macs[1]
    for field, kept in (("saved_bytes", step.kept()), ("needed_bytes", step.kept(needed=True))):
        for path, storages in kept.items():
            own[path][field] += step.bytes_of(storages)
    for name, spec in parameters.items():
        elements, size = spec.elements or 0, spec.size_bytes or 0
        listed, reached = name in trained, name in step.recording.reached
        state = optimizer.copies * size + optimizer.counters * COUNTER_BYTES
        own[name.rpartition(".")[0]].update(
            params=elements,
            weight_bytes=size,
            trained_params=elements * listed,
            reached_params=elements * reached,
            gradient_bytes=size * reached,
            optimizer_bytes=state * reached,
        )
    return own


def _with_all_inside(
    own: Mapping[str, Counter[str]], classes: Mapping[str, str]
) -> tuple[ModuleTraining, ...]:
    """Every module with the costs of those inside it, in the order of the network."""
    summed: dict[str, Counter[str]] = {path: Counter() for path in classes}
    for path, costs in own.items():
        parts = path.split(".") if path else []
        for end in range(len(parts) + 1):
            summed[".".join(parts[:end])].update(costs)
    return tuple(
        ModuleTraining(path, classes[path], **{name: costs[name] for name in FIGURES})
        for path, costs in summed.items()
    )


FIGURES: Sequence[str] = tuple(each.name for each in fields(ModuleTraining))[2:]
