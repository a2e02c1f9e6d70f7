"""A published checkpoint as a weight source: opened unread, matched strictly, read tensor by tensor."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from onnxlens.errors import CheckpointError
from onnxlens.reference_model.weights.casting import cast, cast_note, is_scale, require_castable
from onnxlens.reference_model.weights.checkpoint_file import HeldTensors, checkpoint_file, open_checkpoint
from onnxlens.specs.graph import CheckpointScope
from onnxlens.specs.module_state import NO_STATISTIC, ModuleState
from onnxlens.specs.tensor import as_array, numpy_type

WRAPPER = "state_dict"
"""The dict of a file that is taken without looking at others beside it, such as an optimizer's."""

COMPILED = re.compile(r"(^|(?<=\.))(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What torch.compile and wrappers for training put into keys, at any level; no module is called so."""


@dataclass(frozen=True, slots=True)
class CheckpointReading:
    """How a file's keys are the module's.

    Attributes:
        strip_prefix: what stands before each key of the module in the file; other keys are others'. None to
            find it: the only prefix under which the file has all keys.
        allow_extra: leave out entries that are not the module's, instead of refusing the file.
    """

    strip_prefix: str | None = None
    allow_extra: bool = False


STRICT = CheckpointReading()
"""Every key is the module's, and there is no other."""


class CheckpointWeights:
    """A weight source over one checkpoint.

    Values stay in the file until they are read, and are cast to the module's dtype; a warning says which.
    """

    def __init__(
        self,
        path: Path,
        graph: str,
        state: ModuleState,
        scope: CheckpointScope,
        reading: CheckpointReading = STRICT,
    ) -> None:
        """Open ``path`` and hold its keys and shapes against the network's.

        Args:
            path: a file, the index of several, or a folder with one of both.
            graph: the network's name, for messages.
            state: of the module's ``state_dict``.
            scope: which of the file's entries belong to the network.
            reading: how their keys are the module's.

        Raises:
            CheckpointError: the file cannot be read, or its keys, shapes or element types are not the
                network's.
        """
        self.path = checkpoint_file(path)
        self.label = self.path.name
        self.tensors = state.tensors
        self._computed = state.computed
        matched = _chosen(self.path, graph, [*_matches(open_checkpoint(self.path), state, scope, reading)])
        self._read = matched.held.read
        self._file_keys = matched.file_keys
        self._require_castable(matched.held.kinds)

    def _require_castable(self, kinds: Mapping[str, str]) -> None:
        """Refuse entries that mean something else in the module's types; say which are cast."""
        casts: Counter[tuple[str, str]] = Counter()
        own = {key for file_keys in self._file_keys.values() for key in file_keys}
        scales = [key for key in kinds if is_scale(key) and key not in own]
        for name, file_keys in self._file_keys.items():
            for key in file_keys:
                with self._told():
                    require_castable(key, kinds[key], self.tensors[name], scales)
                if kinds[key] != self.tensors[name].dtype:
                    casts[kinds[key], self.tensors[name].dtype] += 1
        if note := cast_note(casts):
            logging.getLogger(__name__).warning("onnxlens: %s: %s", self.path, note)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Name the file in what is refused meanwhile."""
        try:
            yield
        except CheckpointError as error:
            raise CheckpointError(f"{self.path}: {error}") from error

    def read(self, name: str) -> np.ndarray:
        """The values of one entry, in the module's dtype.

        An optional entry that is absent is CLIP's ``position_ids``: 0, 1, 2, .. in every file that has it; or
        a counter of training steps, 0.

        Raises:
            CheckpointError: the file has it under two names, with different values; or a value is not finite,
                or another in the module's dtype.
        """
        import torch

        spec = self.tensors[name]
        sizes = [int(dim) for dim in spec.shape]
        if not (file_keys := self._file_keys.get(name)):
            if name.endswith(NO_STATISTIC):
                return np.zeros(sizes, numpy_type(spec.dtype))
            return np.arange(spec.elements or 0, dtype=spec.dtype).reshape(sizes)
        with self._told():
            values, *further = (
                cast(key, self._read(key), spec, self._computed.get(name)) for key in file_keys
            )
        if not all(torch.equal(values, other) for other in further):
            raise CheckpointError(
                f"{self.path}: {' and '.join(file_keys)} differ, and are one tensor in the module"
            )
        return as_array(values)


@dataclass(slots=True)
class _Match:
    """One way to read a file's keys as the module's, and what speaks against it.

    ``file_keys`` has the keys in the file, by the first name of an entry.
    """

    held: HeldTensors
    prefix: str
    entries: int
    file_keys: dict[str, list[str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)

    @property
    def errors(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.misshapen)

    @property
    def place(self) -> str:
        """The whole prefix of the keys, as the option takes it."""
        return f"{self.held.key}.{self.prefix}" if self.held.key else self.prefix


def _matches(
    held: Sequence[HeldTensors], state: ModuleState, scope: CheckpointScope, reading: CheckpointReading
) -> Iterator[_Match]:
    """The ways to read the file: at each place of it, as it is and with each prefix that may be meant."""
    for tensors in held:
        for prefix in _prefixes(tensors, state, scope, reading):
            yield _match(tensors, prefix, state, scope, reading)


def _prefixes(
    held: HeldTensors, state: ModuleState, scope: CheckpointScope, reading: CheckpointReading
) -> Sequence[str]:
    """The given prefix, as the file and as the dict in it has it; or none, and those before the first key."""
    keys = [COMPILED.sub("", key) for key in held.shapes]
    if (given := reading.strip_prefix) is not None:
        inside = f"{held.key}." if held.key else ""
        dotted = (given if not given or given.endswith(".") else f"{given}.").removeprefix(inside)
        found = any(key.startswith(dotted) for key in keys)
        return [dotted if found else given]
    first = next(iter(key for key in state.tensors if not _is_optional(key, scope)), "")
    anchor = scope.prefix + first
    return ["", *dict.fromkeys(key.removesuffix(anchor) for key in keys if key.endswith(f".{anchor}"))]


def _match(
    held: HeldTensors, prefix: str, state: ModuleState, scope: CheckpointScope, reading: CheckpointReading
) -> _Match:
    match, tensors = _Match(held, prefix, len(state.tensors)), state.tensors
    for file_key, shape in held.shapes.items():
        key = COMPILED.sub("", file_key)
        if not key.startswith(prefix):
            if reading.strip_prefix is None and not scope.prefix:
                match.unexpected.append(file_key)
            continue
        own = scope.module_key(key.removeprefix(prefix))
        name = state.aliases.get(own, own) if own is not None else None
        if name is None:
            continue
        if name not in tensors:
            match.unexpected.append(file_key)
            continue
        match.file_keys.setdefault(name, []).append(file_key)
        if shape != tensors[name].shape:
            match.misshapen.append(f"{file_key} {shape} for {tensors[name].shape_text()}")
    match.missing = [
        prefix + scope.prefix + key
        for key in tensors
        if key not in match.file_keys and not _is_optional(key, scope)
    ]
    if reading.allow_extra:
        match.unexpected = []
    return match


def _is_optional(key: str, scope: CheckpointScope) -> bool:
    return key in scope.optional or key.endswith(NO_STATISTIC)


def _chosen(path: Path, graph: str, matches: Sequence[_Match]) -> _Match:
    """The only way to read the file; keys as they are come before keys with a prefix that was found.

    Raises:
        CheckpointError: there is none, or there are several.
    """
    fitting = [match for match in matches if not match.errors]
    plain = [match for match in fitting if not match.prefix]
    wrapped = [match for match in plain if match.held.key == WRAPPER]
    several = wrapped or plain or fitting
    if len(several) == 1:
        return several[0]
    if several:
        places = ", ".join(match.place for match in several)
        raise CheckpointError(
            f"{path}: holds {graph} {len(several)} times, under {places}; choose one: --strip-prefix "
            f"{several[-1].place}"
        )
    nearest = min(matches, key=lambda match: (len(match.missing), match.errors))
    raise CheckpointError(f"{path}: not a checkpoint of {graph}: {_complaint(nearest)}")


def _complaint(match: _Match) -> str:
    complaints = (
        (f"of {match.entries} keys missing", match.missing),
        ("unexpected", match.unexpected),
        ("of the wrong shape", match.misshapen),
    )
    detail = "; ".join(_listed(what, items) for what, items in complaints if items)
    alone = match.unexpected and not match.missing and not match.misshapen
    remedy = "--allow-extra leaves them out" if alone else "is it another network's file?"
    return f"{detail}; {remedy}"


def _listed(what: str, items: list[str]) -> str:
    """``3 of 340 keys missing (a, b, c)``, at most five named."""
    shown = ", ".join(items[:5]) + (f", and {len(items) - 5} more" if len(items) > 5 else "")
    return f"{len(items)} {what} ({shown})"
