"""What the caches of a language model hold, and the longest context that fits a chip's memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial

from onnxlens.profile.chip.phases import Counted, tensor_bytes
from onnxlens.specs.chip import Chip
from onnxlens.specs.phases import MOST_TOKENS, CacheInput, Fit
from onnxlens.specs.tensor import TensorSpec

GUESSES = 8
"""So often a straight line is tried before the range is halved."""


def sequence_cache_bytes(counted: Counted) -> tuple[int, int]:
    """What one more token adds to the caches of one sequence, and what they hold whatever its length."""
    known = {tensor.name: tensor for tensor in counted.graph.inputs}
    per_token = fixed = 0
    for each in counted.caches:
        size = tensor_bytes(_of_one(known[each.tensor.name], each), counted.stored_as)
        if each.kind == "paged" or (each.kind == "growing" and not each.window):
            per_token += size
        else:
            fixed += size
    return per_token, fixed


def _of_one(tensor: TensorSpec, held: CacheInput) -> TensorSpec:
    """Of one sequence; of a cache that grows one token, of one that slides its window."""
    if held.kind == "paged":  # (blocks, tokens in a block, heads, width)
        return replace(tensor, shape=tensor.shape[2:])
    shape = list(tensor.shape)
    for axis in (held.batch_axis, held.length_axis if held.kind == "growing" else None):
        if axis is not None:
            shape[axis] = (held.window or 1) if axis == held.length_axis else 1
    return replace(tensor, shape=tuple(shape))


def capacity_bytes(chip: Chip) -> int | None:
    """The size of the memory that is home to all; None where there is none, or it is not published."""
    for memory in chip.memories:
        if memory.holds == "all":
            return None if memory.size_bytes is None else int(memory.size_bytes.value)
    return None


def fits_of(
    chips: Mapping[str, Chip],
    batches: Sequence[int],
    memory_bytes: Callable[[int, int], int],
    positions: int | None,
) -> Iterator[Fit]:
    """The longest context on each chip whose memory's size is published, for each batch.

    Args:
        chips: by their labels.
        batches: sequences at once.
        memory_bytes: what a step takes, by batch and context; it never falls as the context grows.
        positions: the tokens that the file has positions for; None where it does not say.
    """
    most = MOST_TOKENS if positions is None else max(positions - 1, 1)
    counted = cache(memory_bytes)
    for label, chip in chips.items():
        if (capacity := capacity_bytes(chip)) is None:
            continue
        for batch in batches:
            context, is_limited = longest(capacity, most, partial(counted, batch))
            yield Fit(label, batch, capacity, context, is_limited)


def longest(capacity: int, most: int, memory_bytes: Callable[[int], int]) -> tuple[int | None, bool]:
    """The longest context whose memory is within the capacity, and whether another one is not."""
    if memory_bytes(1) > capacity:
        return None, True
    if memory_bytes(most) <= capacity:
        return most, False
    low, high = 1, most  # the first fits, the second does not
    for guess in range(64):
        if high - low == 1:
            break
        middle = (low + high) // 2
        if guess < GUESSES:
            rise = memory_bytes(high) - memory_bytes(low)
            middle = low + (capacity - memory_bytes(low)) * (high - low) // rise
            middle = min(max(middle + guess % 2, low + 1), high - 1)
        if memory_bytes(middle) <= capacity:
            low = middle
        else:
            high = middle
    return low, True
