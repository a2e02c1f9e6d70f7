"""What gives a column its figures: said where one is asked for that holds none."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from onnxlens.errors import UsageError
from onnxlens.reports.numbers import COSTS
from onnxlens.reports.tables.bounds import is_bound
from onnxlens.reports.tables.columns import OWN, PEER_NAMES, TIME_SHARE
from onnxlens.reports.tables.fused import FUSED
from onnxlens.reports.tables.query import Query, near
from onnxlens.reports.tables.render import By
from onnxlens.reports.tables.shares import LATENCY
from onnxlens.reports.tables.tools import is_of_tool
from onnxlens.specs.roofline import AT

FITS = "--fits SIZE"
HARDWARE, FUSION, ON_CHIP, LAYERS = "--hardware", "--fusion", "--on-chip", "--layers"
KINDS: Mapping[By, str] = {"module": "modules", "op": "operators", "node": "nodes", "group": "groups"}


def require_computed(query: Query, options: Collection[str]) -> None:
    """Refuse, before anything is exported, a column that none of the options that were given computes.

    Args:
        query: what is asked.
        options: such as ``--latency`` and ``--convention thop``.

    Raises:
        UsageError: a column holds no figure.
    """
    for name in query.named:
        option = _computed_by(name)
        if option and option not in options and (option != FITS or query.fits is None):
            raise UsageError(f"column {name} holds no figure; {remedy_of(name, query)}")


def _computed_by(name: str) -> str:
    """The option that gives a column its figures; "" for what is always counted."""
    plain = name.removeprefix(OWN)
    if plain == "fits":
        return FITS
    if is_of_tool(plain):
        return LAYERS
    if is_bound(plain):
        return HARDWARE
    if plain in FUSED:
        return ON_CHIP if plain == "spilled_bytes" else FUSION
    plain = LATENCY if plain == TIME_SHARE else plain
    if plain in COSTS and COSTS[plain].measured_by:
        return f"--{COSTS[plain].measured_by}"
    return next(
        (f"--convention {peer}" for peer, column in PEER_NAMES.items() if plain.startswith(column)), ""
    )


def remedy_of(name: str, query: Query, *, is_asked: bool = False) -> str:
    """What gives the column a figure; ``is_asked`` if the option is given, and no row has one yet."""
    plain, at, chip = name.partition(AT)
    if is_of_tool(name):
        of_ours = f"; {plain} is ours, and of no chip" if plain in COSTS else ""
        return f"give --layers with a report called {chip} that has it{of_ours}"
    if at:
        return f"name {chip} in --hardware; of the first chip there it is {plain}"
    option = _computed_by(name)
    if is_asked and name.startswith("vendor"):
        option += " with --model vendor, and a chip whose vendor's law is known"
    elif is_asked and option != ON_CHIP:
        return f"none of the {KINDS[query.by]} has one"
    measured = " (ledger has it)" if option.startswith(("--latency", "--parity")) else ""
    return f"give {option}{measured}" if option else f"none of the {KINDS[query.by]} has one"


def of_reports(name: str, columns: Collection[str]) -> str:
    """What the reports there are do have, if the column is one of a report."""
    there = [each for each in columns if is_of_tool(each)] if is_of_tool(name) else []
    return f"; {near(name, there)}there are {', '.join(there)}" if there else ""
