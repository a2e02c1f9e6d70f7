"""A network run once on tensors without memory, as training would run it: what each operator keeps and costs.

The operators are those that PyTorch runs on a CPU, and autograd is PyTorch's own: which operators a gradient
passes is read from the graph that it makes, and what is kept from what it packs. Nothing is computed, so the
largest network takes seconds.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import ref

import torch
import torch.utils.checkpoint
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from onnxlens.errors import UsageError, first_line
from onnxlens.export.network import Network
from onnxlens.export.tracing import fake_input, fake_of
from onnxlens.pipeline.products import PRODUCTS, is_known
from onnxlens.specs.module_state import slots

Storage = int
"""Memory by a number: views of one tensor have one."""

NUMBERS = (torch.float64, torch.int64, torch.complex128)
"""The types of Python's numbers, which autograd keeps as tensors without dimensions."""


@dataclass(slots=True)
class Operation:
    """One operator that ran.

    Attributes:
        module: its path.
        unit: the number of the checkpointed call that it ran in, None outside.
        nodes: the numbers that its nodes in autograd's graph can have.
        gradient_macs: of its inputs' gradients, and of its weights'.
        needless: of what it keeps, memory that no gradient reads.
        reruns: how often a checkpointed call runs it again: once for each that it is in.
    """

    name: str
    module: str
    unit: int | None
    nodes: range
    macs: int = 0
    gradient_macs: tuple[int, int] = (0, 0)
    needless: frozenset[Storage] = frozenset()
    reruns: int = 0
    is_known: bool = True


@dataclass(slots=True, weakref_slot=True, eq=False)
class Kept:
    """A tensor that autograd keeps, as long as the part of its graph that reads it lives.

    Attributes:
        node: the number of the node that keeps it.
    """

    tensor: torch.Tensor
    storage: Storage
    module: str
    unit: int | None
    node: int


@dataclass(slots=True)
class Recording:
    """A forward pass.

    Attributes:
        sizes: bytes by memory.
        parameters: the memory of parameters and buffers, by it the parameter's name; "" for a buffer.
        units: path and memory of the tensors that each checkpointed call was given.
        kept: for the gradients of what a loss is made of, in the order of the pass.
        passed: the numbers of the nodes of autograd's graph that these gradients pass.
        reached: the names of the parameters that they arrive at.
        functions: how often they pass functions whose backward pass is the user's code.
    """

    operations: list[Operation] = field(default_factory=list)
    sizes: dict[Storage, int] = field(default_factory=dict)
    parameters: dict[Storage, str] = field(default_factory=dict)
    units: list[tuple[str, frozenset[Storage]]] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    passed: set[int] = field(default_factory=set)
    reached: set[str] = field(default_factory=set)
    functions: Counter[str] = field(default_factory=Counter)


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
    with (
        FakeTensorMode(allow_non_fake_inputs=True) as fakes,
        network.lent(fake_of),
        _training(module),
        _collecting_what_is_new(),
    ):
        for slot in slots(module):
            if slot.kind == "parameter" and slot.name in trained:
                slot.tensor.requires_grad_(True)
        inputs = [fake_input(tensor) for tensor in network.spec.inputs]
        recorder = _Recorder(module, unit_classes, fakes)
        try:
            with recorder, recorder.watching(), torch.enable_grad():
                outputs = tree_leaves(module(*inputs))
        except Exception as error:  # the user's code, not ours
            raise UsageError(
                f"{network.spec.name}: does not run as in training: {type(error).__name__}: "
                f"{first_line(error)}"
            ) from error
        recorder.follow([each for each in outputs if isinstance(each, torch.Tensor) and each.requires_grad])
        del outputs
        recorder.settle()
    return recorder.recording


@contextmanager
def _collecting_what_is_new() -> Iterator[None]:
    """Let Python's collector look at what is made meanwhile alone: PyTorch itself is large."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


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
    """Sees every operator below autograd, and what autograd keeps for it.

    Autograd numbers its nodes in the order in which it makes them: those of an operator after those of the
    operator before, but for what writes into a view, whose node ``CopySlices`` is made after it has run.
    """

    def __init__(self, module: nn.Module, unit_classes: Collection[str], fakes: FakeTensorMode) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recording = Recording()
        self._fakes = fakes
        self._paths = {child: path for path, child in module.named_modules()}
        self._unit_classes = unit_classes
        self._open: list[str] = []
        self._unit: int | None = None
        self._depth = 0
        self._unit_levels: list[int] = []
        self._nodes = _next_node()
        self._roots: list[Any] = []
        self._packed: list[ref[Kept]] = []
        self._held: list[Any] = []
        self._numbers: dict[int, Storage] = {}
        for slot in slots(module):
            own = slot.name if slot.kind == "parameter" else ""
            self.recording.parameters.setdefault(self._storage(slot.tensor), own)

    def _storages(self, nested: Any) -> frozenset[Storage]:
        """The memory of all tensors in it."""
        return frozenset(
            self._storage(each) for each in tree_leaves(nested) if isinstance(each, torch.Tensor)
        )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Follow which module runs, what is kept and what is checkpointed."""
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
            with saved_tensors_hooks(self._pack, lambda kept: kept.tensor), self._seeing_checkpoints():
                yield
        finally:
            for hook in hooks:
                hook.remove()

    @contextmanager
    def _seeing_checkpoints(self) -> Iterator[None]:
        """Let calls of torch.utils.checkpoint be units, in either of its forms."""
        module: Any = torch.utils.checkpoint
        before = module._checkpoint_hook, module.CheckpointFunction
        module._checkpoint_hook = lambda frame: self._in_unit(frame.get_inputs())
        module.CheckpointFunction = _Reentrant(self._in_unit)
        try:
            yield
        finally:
            module._checkpoint_hook, module.CheckpointFunction = before

    @contextmanager
    def _in_unit(self, given: Any) -> Iterator[None]:
        """A checkpointed call."""
        self._open_unit(given)
        try:
            yield
        finally:
            self._close_unit()

    def _open_unit(self, given: Any) -> None:
        """One inside another is a part of it, that runs again once more."""
        if not self._depth:
            self._unit = len(self.recording.units)
            self.recording.units.append((self._path, self._storages(given)))
        self._depth += 1

    def _close_unit(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._unit = None

    @property
    def _path(self) -> str:
        return self._open[-1] if self._open else ""

    def _enter(self, module: nn.Module, args: Any) -> None:
        self._open.append(self._paths.get(module, self._path))

    def _enter_unit(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._unit_levels.append(len(self._open))
        self._open_unit((args, kwargs))

    def _leave(self, module: nn.Module, args: Any, result: Any) -> None:
        if self._unit_levels and self._unit_levels[-1] == len(self._open):
            self._unit_levels.pop()
            self._close_unit()
        self._open.pop()

    def _pack(self, tensor: torch.Tensor) -> Kept:
        found = Kept(tensor.detach(), self._storage(tensor), self._path, self._unit, _next_node() - 1)
        if tensor.dim() or tensor.dtype not in NUMBERS:
            self._packed.append(ref(found))
        return found

    def follow(self, outputs: Sequence[torch.Tensor]) -> None:
        """Find what the gradients of the outputs pass, and where they arrive."""
        recording = self.recording
        self._roots = [each.grad_fn for each in outputs if each.grad_fn is not None]
        leaves = [each for each in outputs if each.grad_fn is None]
        waiting, seen = [*self._roots], set(self._roots)
        while waiting:
            node = waiting.pop()
            name: str = node.name()
            recording.passed.add(node._sequence_nr() - (name == "CopySlices"))
            if isinstance(node, BackwardCFunction):
                recording.functions[name.removesuffix("Backward")] += 1
            if (leaf := getattr(node, "variable", None)) is not None:
                leaves.append(leaf)
            found = {each for each, _ in node.next_functions if each is not None} - seen
            seen |= found
            waiting += found
        recording.reached = {recording.parameters.get(self._storage(each), "") for each in leaves} - {""}

    def settle(self) -> None:
        """Know what is still kept, once all that no output needs is gone."""
        gc.collect()  # networks have cycles
        self.recording.kept = [kept for each in self._packed if (kept := each()) is not None]
        self._roots.clear()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operator, and record it."""
        nodes = range(self._nodes, _next_node())
        result = func(*args, **(kwargs or {}))
        if func.namespace != "prim" and func is not torch.ops.aten.detach.default:  # autograd's own calls
            self._nodes = nodes.stop
            self._record(func, args, kwargs or {}, result, nodes)
        return result

    def _record(
        self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any, nodes: range
    ) -> None:
        named = {
            **dict(zip((each.name for each in func._schema.arguments), args, strict=False)),
            **kwargs,
        }
        given = [each for each in tree_leaves(named) if isinstance(each, torch.Tensor)]
        writes = func._schema.name.endswith("_")
        if self._storages(result) & self._storages(given) and not writes:  # a view: it computes nothing
            return
        name = f"{func._schema.name.partition('::')[2]}.{func._overloadname}"
        results = [each for each in tree_leaves(result) if isinstance(each, torch.Tensor)]
        found = Operation(name, self._path, self._unit, nodes, reruns=self._depth)
        found.is_known = is_known(func) or not (
            any(map(_has_gradients, given)) and any(map(_has_gradients, results))
        )
        self._count(found, named, results)
        self.recording.operations.append(found)

    def _count(self, found: Operation, tensors: Mapping[str, Any], results: Sequence[torch.Tensor]) -> None:
        rule = PRODUCTS.get(found.name.partition(".")[0])
        if rule is None:
            return
        shapes = {name: each.shape for name, each in tensors.items() if isinstance(each, torch.Tensor)}
        macs, gradients = rule(shapes, results[0].shape, bool(tensors.get("transposed")))
        of_inputs = of_weights = 0
        for name, figure in gradients.items():
            if not name:
                of_inputs += figure if any(self._wants(tensors[each]) for each in shapes) else 0
            elif self._wants(tensors[name]):
                if self._storage(tensors[name]) in self.recording.parameters:
                    of_weights += figure
                else:
                    of_inputs += figure
        found.macs, found.gradient_macs = macs, (of_inputs, of_weights)
        if found.name.startswith("convolution."):  # it keeps both operands, whichever gradient is wanted
            pairs = (("input", "weight"), ("weight", "input"))
            found.needless = self._storages(
                [tensors[one] for one, other in pairs if not self._wants(tensors[other])]
            )

    def _wants(self, tensor: torch.Tensor) -> bool:
        return tensor.requires_grad and torch.is_grad_enabled()

    def _storage(self, tensor: torch.Tensor) -> Storage:
        """The number of its memory, which is held, so that no other takes the same.

        Constants of the network have values, and their memory is that of the fake tensor made of each.
        """
        fake = tensor if isinstance(tensor, FakeTensor) else self._fakes.from_tensor(tensor)
        memory = fake.untyped_storage()
        key = memory._cdata
        if key not in self._numbers:
            self._numbers[key] = len(self._numbers)
            self._held.append(memory)
            self.recording.sizes[self._numbers[key]] = memory.nbytes()
        return self._numbers[key]


class _Reentrant:
    """Runs what torch's function of the same place runs, whose inside autograd does not see."""

    def __init__(self, unit: Callable[[Any], Any]) -> None:
        self._unit = unit

    def apply(self, function: Callable[..., Any], preserve_rng_state: bool, *args: Any) -> Any:
        """The function's result; without gradients, as torch has it, if no argument wants one."""
        wanted = any(isinstance(each, torch.Tensor) and each.requires_grad for each in args)
        with self._unit(args), torch.set_grad_enabled(wanted and torch.is_grad_enabled()):
            return function(*args)


def _next_node() -> int:
    """The number that autograd's next node gets."""
    return torch._C._autograd._get_sequence_nr()


def _has_gradients(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()
