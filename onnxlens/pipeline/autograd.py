"""A network run once on tensors without memory, as training would run it: what each operator keeps and costs.

The operators are those that PyTorch runs on a CPU. Nothing is computed, so the largest network takes seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from onnxlens.errors import UsageError, first_line
from onnxlens.export.network import Network
from onnxlens.export.tracing import fake_input, fake_of
from onnxlens.pipeline.saved_tensors import NEEDED, PRODUCTS, Saved, saves
from onnxlens.specs.module_state import slots

Storage = int
"""Memory by a number: views of one tensor have one."""


@dataclass(slots=True)
class Operation:
    """One operator that ran.

    Attributes:
        module: its path.
        unit: the number of the checkpointed call that it ran in, None outside.
        gradient_macs: of its inputs' gradients, and of its weights'.
        wants: the memory of inputs that need a gradient.
        makes: of its results.
        saves: what it keeps; ``needs`` of that what its gradients read.
    """

    name: str
    module: str
    unit: int | None
    macs: int = 0
    gradient_macs: tuple[int, int] = (0, 0)
    wants: frozenset[Storage] = frozenset()
    makes: frozenset[Storage] = frozenset()
    saves: frozenset[Storage] = frozenset()
    needs: frozenset[Storage] = frozenset()
    is_known: bool = True


@dataclass(slots=True)
class Recording:
    """A forward pass.

    Attributes:
        sizes: bytes by memory.
        parameters: the memory of parameters and buffers, by it the parameter's name; "" for a buffer.
        units: path and memory of the tensors that each checkpointed call was given.
        outputs: the memory of the results that a loss is made of.
    """

    operations: list[Operation] = field(default_factory=list)
    sizes: dict[Storage, int] = field(default_factory=dict)
    parameters: dict[Storage, str] = field(default_factory=dict)
    units: list[tuple[str, frozenset[Storage]]] = field(default_factory=list)
    outputs: frozenset[Storage] = frozenset()


def recorded(network: Network, trained: Collection[str], unit_classes: Collection[str] = ()) -> Recording:
    """Run the network as in training, with gradients for the parameters that are named.

    Args:
        network: it is as before when this returns.
        trained: names of parameters.
        unit_classes: names of classes whose calls are checkpointed.

    Raises:
        UsageError: the network does not run in training mode.
    """
    module = network.module
    with FakeTensorMode(allow_non_fake_inputs=True), network.lent(fake_of), _training(module):
        for slot in slots(module):
            if slot.kind == "parameter" and slot.name in trained:
                slot.tensor.requires_grad_(True)
        inputs = [fake_input(tensor) for tensor in network.spec.inputs]
        recorder = _Recorder(module, unit_classes)
        try:
            with recorder, recorder.watching(), torch.enable_grad():
                outputs = module(*inputs)
        except Exception as error:  # the user's code, not ours
            raise UsageError(
                f"{network.spec.name}: does not run as in training: {type(error).__name__}: "
                f"{first_line(error)}"
            ) from error
        recorder.recording.outputs = recorder.storages(
            [each for each in tree_leaves(outputs) if isinstance(each, torch.Tensor) and each.requires_grad]
        )
    return recorder.recording


@contextmanager
def _training(module: nn.Module) -> Iterator[None]:
    """The module and those inside it in training mode meanwhile."""
    before = [(child, child.training) for child in module.modules()]
    module.train()
    try:
        yield
    finally:
        for child, mode in before:
            child.training = mode


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operator below autograd, with the tensors whose gradients autograd would compute."""

    def __init__(self, module: nn.Module, unit_classes: Collection[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recording = Recording()
        self._paths = {child: path for path, child in module.named_modules()}
        self._unit_classes = unit_classes
        self._open: list[str] = []
        self._unit: tuple[int, int] | None = None
        self._held: list[torch.Tensor] = []
        self._numbers: dict[int, Storage] = {}
        for slot in slots(module):
            own = slot.name if slot.kind == "parameter" else ""
            self.recording.parameters.setdefault(self._storage(slot.tensor), own)

    def storages(self, nested: Any) -> frozenset[Storage]:
        """The memory of all tensors in it."""
        return frozenset(
            self._storage(each) for each in tree_leaves(nested) if isinstance(each, torch.Tensor)
        )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Follow which module runs."""
        hooks = (
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave),
            *(
                child.register_forward_pre_hook(self._enter_unit, with_kwargs=True)
                for child in self._paths
                if type(child).__name__ in self._unit_classes
            ),
        )
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter(self, module: nn.Module, args: Any) -> None:
        path = self._paths.get(module, self._open[-1] if self._open else "")
        self._open.append(path)

    def _enter_unit(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if self._unit is None:
            self._unit = len(self.recording.units), len(self._open)
            self.recording.units.append((self._open[-1], self.storages((args, kwargs))))

    def _leave(self, module: nn.Module, args: Any, result: Any) -> None:
        if self._unit is not None and self._unit[1] == len(self._open):
            self._unit = None
        self._open.pop()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operator, and record it."""
        result = func(*args, **(kwargs or {}))
        if func.namespace != "prim":
            self._record(func, args, kwargs or {}, result)
        return result

    def _record(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        named = {
            **dict(zip((each.name for each in func._schema.arguments), args, strict=False)),
            **kwargs,
        }
        given = [each for each in tree_leaves(named) if isinstance(each, torch.Tensor)]
        makes = self.storages(result)
        writes = func._schema.name.endswith("_")
        if makes & self.storages(given) and not writes:  # a view: it keeps and computes nothing
            return
        name = f"{func._schema.name.partition('::')[2]}.{func._overloadname}"
        found = Operation(name, self._open[-1] if self._open else "", None, makes=makes)
        found.unit = self._unit[0] if self._unit else None
        rule = saves(name) if func.namespace == "aten" else None
        floats = [each for each in given if each.is_floating_point()]
        results = [each for each in tree_leaves(result) if isinstance(each, torch.Tensor)]
        has_gradient = any(each.is_floating_point() for each in results)
        found.is_known = rule is not None or not (floats and has_gradient)
        wanting = [each for each in floats if each.requires_grad] if torch.is_grad_enabled() else []
        found.wants = self.storages(wanting) if has_gradient else frozenset()
        tensors = {**named, **{f"result{index}": each for index, each in enumerate(results)}}
        self._count(found, tensors, results)
        if found.wants and rule:
            found.saves = self._kept(rule, tensors, writes)
            needed = NEEDED.get(name.partition(".")[0])
            found.needs = found.saves if needed is None else self._kept(needed, tensors, writes)
        self.recording.operations.append(found)

    def _count(self, found: Operation, tensors: Mapping[str, Any], results: Sequence[torch.Tensor]) -> None:
        rule = PRODUCTS.get(found.name.partition(".")[0])
        if rule is None:
            return
        shapes = {name: each.shape for name, each in tensors.items() if isinstance(each, torch.Tensor)}
        macs, gradients = rule(shapes, results[0].shape, bool(tensors.get("transposed")))
        of_inputs = of_weights = 0
        for name, figure in gradients.items():
            operand = tensors[name] if name else None
            if operand is None:
                of_inputs += figure if found.wants else 0
            elif operand.requires_grad and torch.is_grad_enabled():
                if self._storage(operand) in self.recording.parameters:
                    of_weights += figure
                else:
                    of_inputs += figure
        found.macs, found.gradient_macs = macs, (of_inputs, of_weights)

    def _kept(self, rule: Sequence[Saved], tensors: Mapping[str, Any], writes: bool) -> frozenset[Storage]:
        """The memory that is kept; what an operator writes over is copied first."""
        kept: set[Storage] = set()
        for name, when in rule:
            reader = tensors.get(when) if when else None
            if when and not (isinstance(reader, torch.Tensor) and reader.requires_grad):
                continue
            if writes and name == "self":
                kept.add(self._storage(torch.empty_like(tensors[name])))
            else:
                kept |= self.storages(tensors.get(name))
        return frozenset(kept)

    def _storage(self, tensor: torch.Tensor) -> Storage:
        """The number of its memory; the tensor is held, so that no other takes the same."""
        memory = tensor.untyped_storage()
        key = memory._cdata
        if key not in self._numbers:
            self._numbers[key] = len(self._numbers)
            self._held.append(tensor)
            self.recording.sizes[self._numbers[key]] = memory.nbytes()
        return self._numbers[key]
