"""A static arena: an offset for every buffer, so that no two that are alive at once overlap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from onnxlens.errors import UsageError

MOST_BYTES = 2**62
"""Of all buffers together: their sums are 64-bit integers."""


class Buffer(NamedTuple):
    """Memory that is needed from one step of the execution to another, both included."""

    size_bytes: int
    first: int
    last: int


HEURISTICS: Mapping[str, Callable[[Buffer], tuple[int, ...]]] = MappingProxyType(
    {
        "size": lambda each: (-each.size_bytes, each.first - each.last, each.first),
        "lifetime": lambda each: (each.first - each.last, -each.size_bytes, each.first),
        "area": lambda each: (-each.size_bytes * (each.last - each.first + 1), each.first),
        "start": lambda each: (each.first, -each.size_bytes, each.first - each.last),
    }
)
"""In which order buffers are placed: by size, by lifetime, by both multiplied, each downwards, or in time."""

REPAIRS, REPAIRED_BUFFERS = 24, 8_000
"""So often a buffer at the top of an arena is placed earlier, while so few buffers are placed by that."""


class Arena(NamedTuple):
    """Offsets of buffers, in their order; the bytes that they take; and the heuristic that found them."""

    offsets: Sequence[int]
    size_bytes: int
    heuristic: str


def plan_arena(buffers: Sequence[Buffer], alignment_bytes: int = 1) -> Arena:
    """The smallest arena that best fit finds over ``HEURISTICS``; it stops where none can be smaller.

    Buffers are placed one after the other, each into the smallest gap that holds it between those that are
    alive at some step with it, else above them. Where the best arena is larger than what is alive at once,
    the buffer at its top is placed first, and so on a few times.

    Args:
        buffers: what is to be placed.
        alignment_bytes: offsets are multiples of it.

    Raises:
        UsageError: the buffers take more than 4 EiB together.
    """
    padded = [each._replace(size_bytes=_aligned(each.size_bytes, alignment_bytes)) for each in buffers]
    if sum(each.size_bytes for each in padded) >= MOST_BYTES:
        raise UsageError(
            "the activations take more than 4 EiB together; fix smaller sizes with --dim or --shape"
        )
    least = alive_bytes(padded)
    best = Arena([0] * len(buffers), 0, "size")
    for name, key in HEURISTICS.items():
        order = sorted(range(len(padded)), key=lambda index: key(padded[index]))
        found = _repaired(padded, order, least, name)
        if name == "size" or found.size_bytes < best.size_bytes:
            best = found
        if best.size_bytes == least:
            break
    top = max((o + each.size_bytes for o, each in zip(best.offsets, buffers, strict=True)), default=0)
    return best._replace(size_bytes=top)  # the padding of the last is not needed


def alive_bytes(buffers: Sequence[Buffer]) -> int:
    """The most bytes that are alive at one step: no arena is smaller."""
    changes: dict[int, int] = {}
    for each in buffers:
        changes[each.first] = changes.get(each.first, 0) + each.size_bytes
        changes[each.last + 1] = changes.get(each.last + 1, 0) - each.size_bytes
    most = alive = 0
    for step in sorted(changes):
        alive += changes[step]
        most = max(most, alive)
    return most


def _aligned(size_bytes: int, alignment_bytes: int) -> int:
    return -(-size_bytes // alignment_bytes) * alignment_bytes


def _repaired(buffers: Sequence[Buffer], order: list[int], least: int, name: str) -> Arena:
    """The arena of an order, or of one in which buffers that made it high are placed first."""
    best = _placed(buffers, order, name)
    for _ in range(min(REPAIRS, REPAIRED_BUFFERS // max(len(buffers), 1))):
        if best.size_bytes == least:
            break
        top = max(range(len(buffers)), key=lambda index: best.offsets[index] + buffers[index].size_bytes)
        order = [top, *(index for index in order if index != top)]
        found = _placed(buffers, order, name)
        if found.size_bytes < best.size_bytes:
            best = found
        elif best.offsets[top] == found.offsets[top]:
            break
    return best


class _Row(NamedTuple):
    """Placed buffers by offset, as columns of arrays that are filled from their start."""

    start: np.ndarray
    end: np.ndarray
    first: np.ndarray
    last: np.ndarray


def _placed(buffers: Sequence[Buffer], order: Sequence[int], name: str) -> Arena:
    """Place the buffers in that order, each into the smallest gap that holds it."""
    offsets = [0] * len(buffers)
    columns = _Row(*(np.zeros(len(buffers), np.int64) for _ in range(4)))
    count = top = 0
    for index in order:
        size_bytes, first, last = buffers[index]
        if size_bytes:
            offset = offsets[index] = _best_fit(columns, count, buffers[index])
            at = int(columns.start[:count].searchsorted(offset))
            for column, entry in zip(columns, (offset, offset + size_bytes, first, last), strict=True):
                column[at + 1 : count + 1] = column[at:count]
                column[at] = entry
            count, top = count + 1, max(top, offset + size_bytes)
    return Arena(offsets, top, name)


def _best_fit(columns: _Row, count: int, buffer: Buffer) -> int:
    """The offset of the smallest gap that holds the buffer; the end of what is alive with it if none does."""
    both = (columns.first[:count] <= buffer.last) & (columns.last[:count] >= buffer.first)
    starts, ends = columns.start[:count][both], columns.end[:count][both]
    if not len(starts):
        return 0
    reached = np.maximum.accumulate(ends)
    lower = np.concatenate(([0], reached[:-1]))
    gaps = starts - lower
    fitting = np.flatnonzero(gaps >= buffer.size_bytes)
    return int(lower[fitting[gaps[fitting].argmin()]]) if len(fitting) else int(reached[-1])
