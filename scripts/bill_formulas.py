"""Makes onnxlens/pipeline/formulas.json: what each graph of the pipeline costs, as formulas in its sizes.

    PYTHONPATH=. python scripts/bill_formulas.py [GRAPH ..]

Every graph is exported once, counted at fifteen sizes and held to the counts at all of them; one whose
nodes vary is exported at fifteen sizes of each kind: minutes. A test compares the file with counts at other
sizes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, product
from typing import Any

from onnxlens.api.opened import OpenedTarget
from onnxlens.pipeline.graph_costs import BYTES, COUNTS, FILE, LATENT_PIXELS, PERIOD
from onnxlens.profile.chip.as_held import as_if_held
from onnxlens.profile.chip.bound import Bounder, Held
from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.count.formula_fit import Fitter, Vector
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.count.liveness import live_bytes
from onnxlens.profile.count.working_sets import fixed_values, resident_bytes
from onnxlens.profile.graph.graph import Graph
from onnxlens.reference_model import catalog
from onnxlens.specs.chip import Chip, Figure
from onnxlens.specs.formula import Polynomial
from onnxlens.specs.roofline import ELEMENTWISE, TRANSCENDENTAL

SIDES = (
    (2, 2), (2, 3), (3, 2), (3, 3), (2, 5), (5, 2), (4, 3), (3, 5), (5, 3), (4, 4), (6, 3), (5, 5), (4, 7),
    (7, 4), (7, 7),
)  # fmt: skip
UNITS = {"openpose-body": 8, "openpose-hand": 8, "vae-encoder": 16, "vae-decoder": 16}
"""Pixels that the sides above are multiples of; those of the UNet for all other graphs.

Long group normalizations of the VAE are split from 128 x 256 pixels on: formulas are of whole ones.
"""
WORDS = ("int64", "int32", "bool")
"""Types besides floats whose elementwise operations a chip may have a rate for."""

Values = dict[str, Any]


Rests = tuple[int, ...]
"""What the rows and columns of a latent leave when divided by ``PERIOD``; () for any."""


def rests(name: str) -> Iterator[Rests]:
    """The kinds of sizes at which a graph has the same nodes, or more of the same."""
    sides = range(0, PERIOD, catalog.UNET_PIXELS // LATENT_PIXELS)
    return product(sides, repeat=2) if catalog.ENTRIES[name].nodes_vary else iter(((),))


def points(name: str, batch: int, left: Rests = ()) -> Sequence[Mapping[str, int]]:
    """The sizes at which a graph is counted."""
    unit = UNITS.get(name, catalog.UNET_PIXELS)
    if not catalog.ENTRIES[name].takes_picture:
        return [{"batch": batch}]
    sides = [(unit * height, unit * width) for height, width in SIDES]
    if left:
        first = [(rest or PERIOD) * LATENT_PIXELS for rest in left]
        steps = [[(side - min(SIDES[0])) * PERIOD * LATENT_PIXELS for side in each] for each in SIDES]
        sides = [(first[0] + high, first[1] + wide) for high, wide in steps]
    return [{"batch": batch, "height": height, "width": width} for height, width in sides]


def counts_of(graph: Graph, words: Sequence[str]) -> Values:
    """Every figure of a graph at one size; those of bytes as floats and others, the former in elements."""
    wide, narrow = ((held, count_nodes(held)) for held in (graph, as_if_held(graph, "int8")))
    found: Values = {name: sum(getattr(cost, name) for cost in wide[1]) for name in COUNTS}
    for name in BYTES:
        found[name] = _split(*(sum(getattr(cost, name) for cost in costs) for _, costs in (wide, narrow)))
    edges = [Held.of(*each) for each in (wide, narrow)]
    moved = [next(iter(held.edges.compulsory(range(len(graph.nodes))))) for held in edges]
    for name in BYTES:
        found[f"compulsory_{name}"] = _split(*(getattr(each, name) for each in moved))
    for dtype in ("float32", *words):
        limits = Bounder(edges[0], _counting_chip(dtype)).bounds("", "", "none").total.limits
        assert limits["compute"] == found["macs"]
        for unit in (ELEMENTWISE, TRANSCENDENTAL):
            found[f"{unit} {dtype}"] = int(limits.get(unit, 0))
    running = graph.by_module()[""]
    held_as = [resident_bytes(running, fixed_values(graph, dtype)) for dtype in ("", "int8")]
    found["weights"] = _split(*held_as)
    levels = zip(live_bytes(graph), live_bytes(graph, stored_as="int8"), strict=True)
    found["live"] = list(_steps(graph, [_split(*each) for each in levels]))
    return found


def _steps(graph: Graph, live: Sequence[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    """What is alive at each node; of an adaptive pooling, whose nodes vary, no less than at any of them."""
    paths = [node.module.path for node in graph.nodes]
    pooled = {path for path in paths if graph.hierarchy.class_name(path) == "AdaptiveAvgPool2d"}
    groups = groupby(range(len(live)), lambda index: paths[index] if paths[index] in pooled else index)
    for _, indices in groups:
        yield tuple(map(max, zip(*(live[index] for index in indices), strict=True)))


def _split(wide_bytes: int, narrow_bytes: int) -> tuple[int, int]:
    """Elements of floats, and bytes of all else, from the bytes with floats of four bytes and of one."""
    elements, left = divmod(wide_bytes - narrow_bytes, 3)
    assert not left
    return elements, narrow_bytes - elements


def _counting_chip(dtype: str) -> Chip:
    """One operation a second: times are counts."""
    one = Figure(1, "", "calculated", "")
    rates = {dtype: one}
    return Chip("", "", macs_per_s={"float32xfloat32": one}, vector_ops_per_s=rates, special_ops_per_s=rates)


def formulas_of(name: str) -> Values:
    """What the file holds of a graph: the batches that the pipeline runs it at, each with its formulas."""
    with OpenedTarget(name) as target:
        batches = range(1, catalog.ENTRIES[name].default_batch + 1)
        return {
            "params": build_ledger(target.graph_at(points(name, 1)[0])).totals.params,
            "batches": {
                " ".join(map(str, (batch, *left))): at_batch(target, name, batch, left)
                for batch, left in product(batches, rests(name))
            },
        }


def at_batch(target: OpenedTarget, name: str, batch: int, left: Rests = ()) -> Values:
    """The formulas at one batch, of sizes that leave these rests."""
    sizes = points(name, batch, left)
    first = counts_of(target.graph_at(sizes[0]), WORDS)
    words = [word for word in WORDS if any(first[f"{u} {word}"] for u in (ELEMENTWISE, TRANSCENDENTAL))]
    counted = [counts_of(target.graph_at(size), words) for size in sizes]
    sides = {
        name: tuple(size.get(side, 0) // LATENT_PIXELS for size in sizes)
        for name, side in (("rows", "height"), ("columns", "width"))
    }
    fitter = Fitter(sides)

    def fit(vector: Vector) -> Polynomial:
        found = fitter.fit([frozenset(sides)], vector, 2)
        if found is None:
            raise SystemExit(f"{name}, batch {batch}: {vector} is no polynomial in rows and columns")
        return found

    rows: Values = {}
    for key in sorted(counted[0].keys() - {"live"}):
        column = [each[key] for each in counted]
        if isinstance(column[0], int):
            rows[key] = plain(fit(tuple(column)))
        else:
            rows[key] = [plain(fit(each)) for each in zip(*column, strict=True)]
    rows["live"] = [[plain(each) for each in pair] for pair in peaks(counted, fit)]
    return {key: row for key, row in rows.items() if row}


def peaks(counted: Sequence[Values], fit: Callable[[Vector], Polynomial]) -> Sequence[Sequence[Polynomial]]:
    """What is alive at each step, without steps at which less is alive than at another whatever the size."""
    steps = {tuple(step): None for step in zip(*(each["live"] for each in counted), strict=True)}
    found = [[fit(each) for each in zip(*step, strict=True)] for step in steps]
    kept: list[Sequence[Polynomial]] = []
    for index, pair in enumerate(found):
        others = (*kept, *found[index + 1 :])
        if not any(_covers(other, pair) for other in others):
            kept.append(pair)
    return kept


def _covers(pair: Sequence[Polynomial], other: Sequence[Polynomial]) -> bool:
    """Whether no factor of the other's is larger."""
    return all(
        more.terms.get(powers, 0) >= less.terms.get(powers, 0)
        for more, less in zip(pair, other, strict=True)
        for powers in more.terms.keys() | less.terms.keys()
    )


def plain(formula: Polynomial) -> Mapping[str, str]:
    """``{"columns^2*rows": "9/4"}``."""
    return {
        "*".join(f"{name}^{power}" if power > 1 else name for name, power in powers) or "1": str(factor)
        for powers, factor in sorted(formula.terms.items())
    }


def graphs() -> Iterator[str]:
    """Those that the pipeline may run."""
    return (name for name, entry in catalog.ENTRIES.items() if not entry.structure_only)


def main(arguments: Sequence[str]) -> None:
    """Make the formulas of the graphs named, of all by default, again."""
    known = json.loads(FILE.read_text(encoding="utf-8"))
    for name in arguments or graphs():
        print(name, flush=True)
        known[name] = formulas_of(name)
        ordered = {each: known[each] for each in graphs() if each in known}
        FILE.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
