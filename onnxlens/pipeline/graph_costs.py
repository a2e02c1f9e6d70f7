"""What a graph of the catalog costs at any batch and size, from formulas: nothing is exported.

``formulas.json`` is made by scripts/bill_formulas.py: for each batch that the pipeline runs a graph at,
polynomials in the rows and columns of its picture's latent, height/8 and width/8. They hold where both sides
are multiples of 64 pixels, of OpenPose's networks of 8; of a graph whose nodes vary some hang on
what ``side_kind`` says of rows and columns. Bytes are those of floats, as their number, and all
others; what is alive is the largest of several such pairs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from onnxlens.errors import UsageError
from onnxlens.specs.bill import Call, GraphCost
from onnxlens.specs.chip import Chip
from onnxlens.specs.edges import Moved
from onnxlens.specs.formula import Polynomial, Powers, evaluated
from onnxlens.specs.roofline import COMPUTE, ELEMENTWISE, TRANSCENDENTAL, memory_times
from onnxlens.specs.tensor import DTYPE_BITS

FILE = Path(__file__).with_name("formulas.json")
FLOAT = "float32"
"""As what floats are held where nothing else is asked for, and the word for them in the file."""

BYTE_BITS = 8
LATENT_PIXELS = 8


@dataclass(frozen=True, slots=True)
class Sized:
    """Bytes: the number of floats, and all else."""

    floats: Polynomial
    others: Polynomial

    def at(self, sizes: Mapping[str, int], dtype: str) -> int:
        """The bytes where floats are held as ``dtype``."""
        width = DTYPE_BITS[dtype] // BYTE_BITS
        return width * evaluated(self.floats, sizes) + evaluated(self.others, sizes)


@dataclass(frozen=True, slots=True)
class GraphFormulas:
    """The costs of one graph at one batch.

    Attributes:
        weights: resident.
        counts: MACs and operations by the names of ``GraphCost``.
        alone: what takes a unit's time where all else is fused: operations by unit and type.
        moved: bytes by the names of ``GraphCost``.
        compulsory: what any fusion moves, by the same names.
        live: activations alive at the steps that may have the most.
    """

    params: int
    weights: Sized
    counts: Mapping[str, Polynomial]
    alone: Mapping[tuple[str, str], Polynomial]
    moved: Mapping[str, Sized]
    compulsory: Mapping[str, Sized]
    live: tuple[Sized, ...]


@cache
def graph_formulas() -> Mapping[tuple[str | int, ...], GraphFormulas]:
    """The formulas of every graph, by its name and batch, and where its nodes vary by two kinds of sides."""
    return {
        (name, int(batch), *map(int, kinds.split())): _read({**entry, **formulas, **changed})
        for name, entry in json.loads(FILE.read_text(encoding="utf-8")).items()
        for batch, formulas in entry["batches"].items()
        for kinds, changed in entry.get("kinds", {"": {}}).items()
    }


def side_kind(size: int) -> int:
    """Rows or columns at which a map of a fourth is averaged to grids of 1, 2, 3 and 6 in the same way.

    At 8 and 24 a grid is as large as the map; from 32 on windows repeat with 24, the grid of 6 at once.
    """
    return size if size in (8, 24) else 32 + (size - 32) % 24


COUNTS = ("macs", "vector_ops", "special_ops")
BYTES = ("weight_read_bytes", "read_bytes", "write_bytes")


def _read(entry: Mapping[str, Any]) -> GraphFormulas:
    def sized(pair: Any) -> Sized:
        return Sized(*map(_polynomial, pair))

    units = (ELEMENTWISE, TRANSCENDENTAL)
    return GraphFormulas(
        entry["params"],
        sized(entry["weights"]),
        {name: _polynomial(entry.get(name, {})) for name in COUNTS},
        {
            (unit, dtype): _polynomial(entry[key])
            for key in entry
            for unit, _, dtype in [key.partition(" ")]
            if unit in units
        },
        {name: sized(entry[name]) for name in BYTES},
        {name: sized(entry[f"compulsory_{name}"]) for name in BYTES},
        tuple(map(sized, entry["live"])),
    )


def _polynomial(terms: Mapping[str, str]) -> Polynomial:
    return Polynomial({_powers(text): Fraction(factor) for text, factor in terms.items()})


def _powers(text: str) -> Powers:
    """``columns^2*rows``."""
    parts = [part.partition("^") for part in text.split("*") if part != "1"]
    return tuple((name, int(power or 1)) for name, _, power in parts)


def pooling_indices(rows: int, columns: int) -> int:
    """How many numbers take the windows of an uneven pooling apart, as constants that all of them share.

    Of ``side`` to ``grid``, windows that begin at floor(i side / grid) and end at ceil((i + 1) side / grid).
    """
    sides, longest = (rows // 4, columns // 4), 0
    for grid in (3, 6):
        lengths = [{-(-(at + 1) * side // grid) - at * side // grid for at in range(grid)} for side in sides]
        if any(len(found) > 1 for found in lengths):
            longest = max(longest, *map(max, lengths))
    return longest


def cost_of(call: Call, dtype: str, chips: Mapping[str, Chip]) -> tuple[GraphCost, Sequence[str]]:
    """What one call costs, with its bounds on chips, and what these leave out.

    Args:
        call: the graph, its batch and size.
        dtype: floats are as if held so; "" for float32.
        chips: by what they are called.

    Raises:
        UsageError: a type of no whole bytes, or one for which a chip has no rate.
    """
    dtype = dtype or FLOAT
    if DTYPE_BITS[dtype] % BYTE_BITS:
        raise UsageError(f"--as-dtype {dtype}: a bill is in whole bytes; 'onnxlens profile' takes it")
    rows, columns = ((side or 0) // LATENT_PIXELS for side in (call.height, call.width))
    sizes = {"rows": rows, "columns": columns, "indices": pooling_indices(rows, columns)}
    known, key = graph_formulas(), (call.graph, call.batch)
    formulas = known[key] if key in known else known[*key, side_kind(rows), side_kind(columns)]
    bounds, limits, notes = {}, {}, []
    for label, chip in chips.items():
        found = dict(_limits(formulas, chip, sizes, dtype))
        limits[label] = max(found, key=found.__getitem__)
        bounds[label] = found[limits[label]]
        notes += [f"{label}: left out: {said}" for said in _left_out(formulas, chip, sizes, dtype)]
    cost = GraphCost(
        **{name: evaluated(each, sizes) for name, each in formulas.counts.items()},
        **{name: each.at(sizes, dtype) for name, each in formulas.moved.items()},
        params=formulas.params,
        resident_weight_bytes=formulas.weights.at(sizes, dtype),
        peak_live_bytes=max(each.at(sizes, dtype) for each in formulas.live),
        bound_s=bounds,
        limited_by=limits,
    )
    return cost, notes


def _limits(
    formulas: GraphFormulas, chip: Chip, sizes: Mapping[str, int], dtype: str
) -> Iterator[tuple[str, float]]:
    """What each unit and memory takes at least, all working at once: docs/roofline.md."""
    try:
        peak = chip.peak(f"{dtype}x{dtype}")
    except UsageError as error:
        raise UsageError(f"--hardware: {error}") from error
    yield COMPUTE, evaluated(formulas.counts["macs"], sizes) / peak.value
    for unit, rates in _rates(chip).items():
        times = [
            evaluated(ops, sizes) / rates[held].value
            for (name, word), ops in formulas.alone.items()
            for held in [dtype if word == FLOAT else word]
            if name == unit and held in rates
        ]
        if times:
            yield unit, sum(times)
    moved = Moved(**{name: each.at(sizes, dtype) for name, each in formulas.compulsory.items()})
    yield from memory_times(chip, [moved])


def _rates(chip: Chip) -> Mapping[str, Mapping[str, Any]]:
    return {ELEMENTWISE: chip.vector_ops_per_s, TRANSCENDENTAL: chip.special_ops_per_s}


def _left_out(formulas: GraphFormulas, chip: Chip, sizes: Mapping[str, int], dtype: str) -> Iterator[str]:
    """What the bounds lack, as no rate is published."""
    for (unit, word), ops in formulas.alone.items():
        held = dtype if word == FLOAT else word
        if held not in _rates(chip)[unit] and evaluated(ops, sizes):
            yield f"{unit} ops of {held}: no rate is published"
    for position, memory in enumerate(chip.memories):
        if memory.bytes_per_s is not None and chip.buffered_behind(position) is None:
            yield f"{memory.name}: what caches hold is not published"
