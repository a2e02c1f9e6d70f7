"""Makes onnxlens/pipeline/formulas.json: what each graph of the pipeline costs, as formulas in its sizes.

    PYTHONPATH=. python scripts/bill_formulas.py [GRAPH ..]

Every graph is exported once, counted at fifteen sizes and held to the counts at all of them. Where nodes
vary, in the pooling of uniformer-seg, that part is exported at a few sizes of each kind. A test compares the
file with counts at other sizes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

from torch import Tensor, nn

from onnxlens.api.opened import OpenedTarget
from onnxlens.api.target import Settings
from onnxlens.pipeline.graph_costs import BYTES, COUNTS, FILE, LATENT_PIXELS, pooling_indices
from onnxlens.profile.chip.as_held import as_if_held
from onnxlens.profile.chip.bound import Bounder, Held
from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.count.formula_fit import SPARE, Fitter, Vector
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.count.liveness import live_bytes
from onnxlens.profile.count.working_sets import fixed_values, resident_bytes
from onnxlens.profile.graph.graph import Graph
from onnxlens.reference_model import catalog
from onnxlens.reference_model.annotators.uniformer import normalized
from onnxlens.reference_model.annotators.upernet import UniFormerSeg, UperHead
from onnxlens.reference_model.catalog_entry import CatalogEntry, TensorTemplate
from onnxlens.reference_model.config import UniFormerConfig, UperNetConfig
from onnxlens.specs.chip import Chip, Figure
from onnxlens.specs.formula import Polynomial, Powers, total
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
Pair = tuple[int, int]

Rows = Mapping[str, Sequence[Any]]
"""Figures by name: one formula, or those of floats and of all else; of what is alive a pair for each step."""


def points(name: str, batch: int) -> Sequence[Mapping[str, int]]:
    """The sizes at which a graph is counted."""
    unit = UNITS.get(name, catalog.UNET_PIXELS)
    if not catalog.ENTRIES[name].takes_picture:
        return [{"batch": batch}]
    return [{"batch": batch, "height": unit * height, "width": unit * width} for height, width in SIDES]


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
    found["live"] = [_split(*each) for each in levels]
    return found


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


def formulas_of(name: str, pairs: Sequence[Pair] | None = None) -> Values:
    """What the file holds of a graph: the batches that the pipeline runs it at, each with its formulas.

    ``pairs``: kinds of sides, of a graph whose nodes vary; None for all.
    """
    entry = catalog.ENTRIES[name]
    counted = with_entry(f"{name}-unpooled", UNPOOLED) if entry.nodes_vary else name
    with OpenedTarget(counted, UNCACHED) as target:
        batches = {
            batch: at_batch(target, points(counted, batch)) for batch in range(1, entry.default_batch + 1)
        }
    with OpenedTarget(name) as target:
        params = build_ledger(target.graph_at(points(name, 1)[0])).totals.params
    plain_batches = {str(batch): plain_rows(rows) for batch, rows in batches.items()}
    found = {"params": params, "batches": plain_batches}
    return {**found, "kinds": dict(kinds(batches[1], pairs))} if entry.nodes_vary else found


class Pooling(nn.Module):
    """The part of uniformer-seg whose nodes vary, by itself."""

    def __init__(self, sides: tuple[int, ...]) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(UniFormerConfig().channels[-1])
        self.decode_head = UperHead(UniFormerConfig().channels, UperNetConfig(pooled_sides=sides))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 512, H/32, W/32), of the same shape; normalized, as the backbone leaves it: channels last."""
        return self.decode_head.pooled(normalized(self.norm, x))


SEG = catalog.ENTRIES["uniformer-seg"]
COARSEST, POOLED = (TensorTemplate(name, (UniFormerConfig().channels[-1],), 32) for name in ("map", "pooled"))
UNPOOLED = replace(
    SEG,
    factory=partial(UniFormerSeg, UniFormerConfig(), UperNetConfig(pooled_sides=())),
    nodes_vary=False,
)
POOLING, NO_POOLING = (
    replace(
        SEG, factory=partial(Pooling, sides), inputs=(COARSEST,), outputs=(POOLED,), nodes_vary=bool(sides)
    )
    for sides in (UperNetConfig().pooled_sides, ())
)


UNCACHED = Settings(cache=False)
"""What is made up here is not kept under a name that means something else another time."""


def with_entry(name: str, entry: CatalogEntry) -> str:
    """The name, now of a graph of the catalog."""
    catalog.ENTRIES = {**catalog.ENTRIES, name: entry}
    return name


KINDS: Mapping[int, Sequence[int]] = {
    8: (8,),
    24: (24,),
    32: (32, 56, 80, 104, 128),
    40: (16, 40, 64, 88, 112),
    48: (48, 72, 96, 120, 144),
}
"""Sides of each kind, in rows of a latent."""


def kinds(unpooled: Rows, pairs: Sequence[Pair] | None) -> Iterator[tuple[str, Values]]:
    """By the kinds of rows and columns the formulas that differ from those unpooled.

    What is alive does not: pooling has a 64th of the largest map's positions, and is never where most is.
    """
    with OpenedTarget(with_entry("no-pooling", NO_POOLING), UNCACHED) as target:
        without = at_batch(target, points("no-pooling", 1))
    with OpenedTarget(with_entry("pooling", POOLING), UNCACHED) as target:
        for rows, columns in product(KINDS, repeat=2) if pairs is None else pairs:
            pooled = at_batch(target, few_points(rows, columns), spare=1)
            changed = {
                key: [
                    total(each)
                    for each in zip(unpooled[key], pooled[key], map(negative, without[key]), strict=True)
                ]
                for key in pooled
                if pooled[key] != without[key]
            }
            yield f"{rows} {columns}", plain_rows(changed)


def few_points(rows: int, columns: int) -> Sequence[Mapping[str, int]]:
    """Sizes of two kinds: for (1, rows) x (1, columns, columns^2), the indices, and one to check with."""
    sides = list(product(KINDS[rows], KINDS[columns]))
    if len(sides) == 25:
        sides = [sides[index] for index in (0, 1, 2, 5, 6, 7, 15, 18)]
    return [
        {"batch": 1, "height": LATENT_PIXELS * high, "width": LATENT_PIXELS * wide} for high, wide in sides
    ]


def negative(formula: Polynomial) -> Polynomial:
    """What takes it away."""
    return Polynomial({powers: -factor for powers, factor in formula.terms.items()})


SQUARED = "columns^2"


def at_batch(target: OpenedTarget, sizes: Sequence[Mapping[str, int]], spare: int = SPARE) -> Rows:
    """The formulas that the counts at these sizes have; what is alive only where all have the same nodes."""
    counted = [counts_of(target.graph_at(size), WORDS) for size in sizes]
    sides = {
        name: tuple(size.get(side, 0) // LATENT_PIXELS for size in sizes)
        for name, side in (("rows", "height"), ("columns", "width"))
    }
    most, groups = 2, [{"rows", "columns"}]
    if spare < SPARE:  # windows are taken apart row by row, in each all of its columns, by shared indices
        sides[SQUARED] = tuple(columns * columns for columns in sides["columns"])
        sides["indices"] = tuple(map(pooling_indices, sides["rows"], sides["columns"]))
        most, groups = 1, [*groups, {"rows", SQUARED}, {"indices"}]
    open_sides = {name: values for name, values in sides.items() if len(set(values)) > 1}
    fitter = Fitter(open_sides, spare)

    def fit(vector: Vector) -> Polynomial:
        found = fitter.fit([frozenset(group & open_sides.keys()) for group in groups], vector, most)
        if found is None:
            raise SystemExit(f"{target.target}: {vector} is no polynomial in rows and columns")
        return Polynomial({_with_square(powers): factor for powers, factor in found.terms.items()})

    rows: dict[str, Sequence[Any]] = {}
    for key in sorted(counted[0].keys() - {"live"}):
        column = [each[key] if isinstance(each[key], tuple) else (each[key],) for each in counted]
        rows[key] = list(map(fit, zip(*column, strict=True)))
    return rows if spare < SPARE else {**rows, "live": peaks(counted, fit)}


def _with_square(powers: Powers) -> Powers:
    """A product, the square of columns as one."""
    return tuple(sorted(("columns", 2) if name == SQUARED else (name, power) for name, power in powers))


def plain_rows(rows: Rows) -> Values:
    """As in the file: without formulas of nothing, and a formula alone outside a list."""
    found: Values = {}
    for key, formulas in rows.items():
        if key == "live":
            found[key] = [[plain(each) for each in pair] for pair in formulas]
        else:
            found[key] = [plain(each) for each in formulas] if len(formulas) > 1 else plain(formulas[0])
    return {key: row for key, row in found.items() if row}


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
