"""A module called with a spec's inputs in order, whatever it takes; its result as a tuple of tensors."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from inspect import Parameter
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

import torch

from onnxlens.errors import ExportError, UsageError, first_line
from onnxlens.specs.tensor import TensorSpec, spec_of, type_name

if TYPE_CHECKING:
    import torch

Collect = Callable[[Mapping[str, Any]], Any]
"""Makes what a parameter takes of its entries by name."""

COLLECTIONS: Mapping[type, Collect] = {
    list: lambda entries: [*entries.values()],
    tuple: lambda entries: (*entries.values(),),
    dict: dict,
}
"""How one parameter takes several inputs."""

PLAIN = (bool, int, float, str)
"""Annotations of what is no tensor."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one input goes in the arguments of a call, by the input's index."""

    index: int


@dataclass(frozen=True, slots=True)
class Call:
    """Positional and keyword arguments, with places for the inputs."""

    args: Sequence[Any]
    kwargs: Mapping[str, Any]

    def arguments(self, inputs: Sequence[torch.Tensor]) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """The arguments with the inputs in their places."""

        def with_inputs(argument: Any) -> Any:
            if isinstance(argument, Place):
                return inputs[argument.index]
            if type(argument) in (list, tuple):
                return type(argument)(map(with_inputs, argument))
            if hasattr(argument, "_fields"):
                return type(argument)(*map(with_inputs, argument))
            if is_dataclass(argument) and not isinstance(argument, Place | type):
                held = {field.name: getattr(argument, field.name) for field in fields(argument)}
                return replace(argument, **{name: with_inputs(item) for name, item in held.items()})
            if type(argument) is dict:
                return {name: with_inputs(item) for name, item in argument.items()}
            return argument

        return with_inputs([*self.args]), with_inputs({**self.kwargs})


def call_of(
    forward: Callable[..., Any], names: Sequence[str], examples: Callable[[], Sequence[torch.Tensor]]
) -> Call:
    """How ``forward`` takes inputs of these names.

    Several inputs for one parameter, which does not say of which type it is, are tried as a list, a tuple
    and a dict.

    Args:
        forward: of a module on the meta device.
        names: of the inputs, in order.
        examples: makes the inputs on the meta device, where they have to be tried.

    Raises:
        UsageError: the inputs do not fit the parameters.
    """
    try:
        parameters = inspect.signature(forward, eval_str=True).parameters
    except NameError:  # an annotation that only type checkers import
        parameters = inspect.signature(forward).parameters
    except (TypeError, ValueError):  # without a signature
        return Call([Place(index) for index in range(len(names))], {})
    calls = [*_Binding(parameters, names).calls()]
    return calls[0] if len(calls) == 1 else _first_that_runs(forward, calls, examples())


def _first_that_runs(
    forward: Callable[..., Any], calls: Sequence[Call], inputs: Sequence[torch.Tensor]
) -> Call:
    """The first way to call ``forward`` that works; nothing is computed on the meta device."""
    import torch

    errors = []
    for call in calls:
        args, kwargs = call.arguments(inputs)
        try:
            with torch.no_grad(), torch.device("meta"):
                forward(*args, **kwargs)
        except Exception as error:  # the user's code, not ours
            errors.append(f"{type(error).__name__}: {first_line(error)}")
        else:
            return call
    raise UsageError(
        f"forward runs with its inputs neither in a list ({errors[0]}) nor in a dict ({errors[-1]}); name "
        "them after its parameters: states.0 for an entry of a list, batch.image for one of a dict"
    )


class _Binding:
    """Which parameter takes which input: the one of its name, else the one at its position."""

    def __init__(self, parameters: Mapping[str, Parameter], names: Sequence[str]) -> None:
        kinds = {parameter.kind for parameter in parameters.values()}
        variable = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        self._takes_more, self._takes_names = (kind in kinds for kind in variable)
        self._parameters = {name: found for name, found in parameters.items() if found.kind not in variable}
        self._positional = [
            name for name, found in self._parameters.items() if found.kind is not Parameter.KEYWORD_ONLY
        ]
        self._names = names
        self._bound: dict[str, Any] = {}
        self._more: list[Place] = []
        self._by_name: dict[str, Place] = {}

    def calls(self) -> Iterator[Call]:
        """The calls that the names allow: one, or one for each type that may hold the inputs."""
        places = self._bind_names()
        unnamed = [index for index in places if index is not None]
        free = self._free()
        if len(unnamed) <= len(free) or self._takes_more or self._takes_names:
            self._bind_positions(places)
            self._require_all()
            yield self._call()
            return
        if not free:
            raise UsageError(
                f"input {self._names[unnamed[0]]!r} is no parameter of forward, which takes "
                f"{', '.join(self._parameters) or 'none'}; name each input after its parameter"
            )
        *single, last = free
        for name, index in zip(single, unnamed, strict=False):
            self._bound[name] = Place(index)
        entries = {self._names[index]: Place(index) for index in unnamed[len(single) :]}
        collect = _collection(self._parameters[last].annotation)
        for collected in [collect] if collect else COLLECTIONS.values():
            self._bound[last] = collected(entries)
            self._require_all()
            yield self._call()

    def _free(self) -> Sequence[str]:
        """The parameters that inputs with names of their own may take, in order; no ``gain: float = 1``."""
        return [
            name
            for name in self._positional
            if name not in self._bound
            and not (
                self._parameters[name].default is not Parameter.empty
                and all(kind in PLAIN for kind in _kinds(self._parameters[name].annotation))
            )
        ]

    def _bind_names(self) -> Sequence[int | None]:
        """Bind what is named after a parameter, or after an entry of one.

        Returns the positional arguments: None for one that is bound, else the index of the unnamed input.
        """
        places: list[int | None] = []
        entries: dict[str, dict[str, Any]] = {}
        for index, name in enumerate(self._names):
            head, *inner = re.split(r"[.\[]", name.replace("]", ""))
            if head not in self._parameters:
                places.append(index)
                continue
            if (
                head not in {*entries, *self._bound}
                and self._parameters[head].kind is not Parameter.KEYWORD_ONLY
            ):
                places.append(None)
            if not inner:
                self._bound[head] = Place(index)  # names are unique
                continue
            level = entries.setdefault(head, {})
            for key in inner[:-1]:
                level = level.setdefault(key, {})
            level[inner[-1]] = Place(index)
        if both := sorted(set(entries) & set(self._bound)):
            raise UsageError(f"inputs are named {both[0]!r} and after entries of it; name all or none so")
        for head, named in entries.items():
            held, record = _nested(head, named), _record(self._parameters[head].annotation)
            self._bound[head] = record(held) if record and isinstance(held, dict) else held
        return places

    def _bind_positions(self, places: Sequence[int | None]) -> None:
        """Bind the unnamed inputs to the parameters at their positions."""
        named = set(self._bound)
        for position, index in enumerate(places):
            if index is None:
                continue
            name = self._names[index]
            if position >= len(self._positional):
                if self._takes_more:
                    self._more.append(Place(index))
                else:
                    self._by_name[name] = Place(index)
                continue
            parameter = self._positional[position]
            if parameter in named:
                raise UsageError(
                    f"input {name!r} stands where forward takes {parameter!r}, and another input has that "
                    "name; name each input after its parameter"
                )
            collect = _collection(self._parameters[parameter].annotation)
            self._bound[parameter] = collect({name: Place(index)}) if collect else Place(index)

    def _require_all(self) -> None:
        for name, parameter in self._parameters.items():
            if name not in self._bound and parameter.default is Parameter.empty:
                raise UsageError(
                    f"forward needs {name!r}, and no input has its name or position; the inputs are "
                    f"{', '.join(self._names) or 'none'}"
                )

    def _call(self) -> Call:
        """The call with what is bound; parameters before ``*args`` that have no input get their default."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        gap = False
        for name, parameter in self._parameters.items():
            if name in self._bound and (gap or parameter.kind is Parameter.KEYWORD_ONLY):
                kwargs[name] = self._bound[name]
            elif name in self._bound:
                args.append(self._bound[name])
            elif name in self._positional and (self._more or parameter.kind is Parameter.POSITIONAL_ONLY):
                args.append(parameter.default)
            else:
                gap = True
        return Call([*args, *self._more], {**kwargs, **self._by_name})


def _nested(name: str, entries: Mapping[str, Any]) -> Any:
    """Entries by key as a list, where the keys are its indices, else as a dict."""
    held = {
        key: _nested(f"{name}.{key}", item) if isinstance(item, dict) else item
        for key, item in entries.items()
    }
    if not all(key.isdigit() for key in held):
        return held
    if sorted(map(int, held)) != list(range(len(held))):
        raise UsageError(f"inputs name entries {', '.join(held)} of {name!r}; a list has them from 0 on")
    return [held[str(index)] for index in range(len(held))]


def _collection(annotation: Any) -> Collect | None:
    """How a parameter takes several inputs, None if its annotation does not say it."""
    found = {_container(get_origin(kind) or kind) for kind in _kinds(annotation)}
    kind = found.pop() if len(found) == 1 else None
    return _record(annotation) or (COLLECTIONS[kind] if kind else None)


def _record(annotation: Any) -> Collect | None:
    """How a named tuple or a dataclass is made: of entries that all are its fields by name, else in order."""
    kinds = [kind for kind in _kinds(annotation) if isinstance(kind, type)]
    if len(kinds) != 1 or not (hasattr(kinds[0], "_fields") or is_dataclass(kinds[0])):
        return None
    names = {field.name for field in fields(kinds[0])} if is_dataclass(kinds[0]) else {*kinds[0]._fields}

    def made(entries: Mapping[str, Any]) -> Any:
        try:
            return kinds[0](**entries) if names >= entries.keys() else kinds[0](*entries.values())
        except TypeError as error:
            raise UsageError(f"{', '.join(entries)} do not make a {kinds[0].__name__}: {error}") from error

    return made


def _kinds(annotation: Any) -> Sequence[Any]:
    """The types that an annotation allows, None apart."""
    union = get_origin(annotation) in (Union, UnionType)
    return [kind for kind in (get_args(annotation) if union else (annotation,)) if kind is not NoneType]


def _container(kind: Any) -> type | None:
    if not isinstance(kind, type) or issubclass(kind, str):
        return None
    wide = {Mapping: dict, tuple: tuple, Sequence: list}
    return next((narrow for base, narrow in wide.items() if issubclass(kind, base)), None)


def outputs_of(
    returned: Any, declared: Sequence[str], taken: Iterable[torch.Tensor]
) -> tuple[torch.Tensor, ...]:
    """The declared outputs: entries of what is returned by their names, else all of its tensors in order.

    Args:
        returned: by ``forward``.
        declared: names of the outputs.
        taken: the module's inputs and its own tensors; one that is returned is an output of its own.

    Raises:
        ExportError: the declared outputs are not those that are returned.
    """
    found = list(_tensors("", returned))
    by_name = dict(found)
    if not by_name.keys() >= set(declared):
        _require_order(found, declared)
        by_name = {name: tensor for name, (_, tensor) in zip(declared, found, strict=True)}
    seen = set(map(id, taken))
    outputs = []
    for name in declared:
        tensor = by_name[name]
        outputs.append(tensor.clone() if id(tensor) in seen else tensor)
        seen.add(id(tensor))
    return tuple(outputs)


def described(returned: Any, taken: Sequence[str]) -> tuple[TensorSpec, ...]:
    """All tensors of what is returned: with the names of its entries if it has some, else ``output``.

    Args:
        returned: by ``forward``.
        taken: names that an output cannot have.
    """
    found = list(_tensors("", returned))
    alone = len(found) == 1
    specs = []
    for index, (path, tensor) in enumerate(found):
        name = path if not path[:1].isdigit() and path else "output" if alone else f"output_{index}"
        shape = tuple(size if isinstance(size, int) else str(size) for size in tensor.shape)
        specs.append(TensorSpec(f"{name}_out" if name in taken else name, type_name(tensor.dtype), shape))
    return tuple(specs)


def _require_order(found: Sequence[tuple[str, torch.Tensor]], declared: Sequence[str]) -> None:
    """Refuse names that are not in the order of what is returned."""
    names = [name for name, _ in found]
    misplaced = [name for name, own in zip(declared, names, strict=False) if name in names and name != own]
    if len(names) != len(declared) or misplaced:
        listed = ", ".join(str(spec_of(name, tensor)) for name, tensor in found) or "no tensor"
        raise ExportError(
            f"the module's outputs are {listed}, declared are {', '.join(declared)}; "
            "declare all in order, or some by name"
        )


def _tensors(path: str, nested: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors in dicts, lists, tuples and dataclasses, with their keys, indices and field names."""
    if isinstance(nested, torch.Tensor):
        yield path, nested
        return
    entries: Iterable[tuple[object, Any]]
    if isinstance(nested, Mapping):
        entries = nested.items()
    elif hasattr(nested, "_fields"):
        entries = zip(nested._fields, nested, strict=True)
    elif isinstance(nested, list | tuple):
        entries = enumerate(nested)
    elif is_dataclass(nested):
        entries = ((field.name, getattr(nested, field.name)) for field in fields(nested))
    else:
        return
    for key, item in entries:
        yield from _tensors(f"{path}.{key}" if path else str(key), item)
