"""``onnxlens bill``: what a picture costs, from its annotator to the decoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.annotate import KINDS
from onnxlens.cli.options import format_option, plot_option, print_result, with_wide
from onnxlens.cli.table import as_dtype_option, screen_width
from onnxlens.errors import UsageError
from onnxlens.specs.bill import BillRequest
from onnxlens.specs.bounds import MOST_RUNS, MOST_SAMPLES

DEFAULT = BillRequest()
NO_NUMBER = "{!r} is no {}, such as {}"


def _sides(text: str) -> dict[str, int]:
    """``512``, or height and width as ``512x768``."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.strip().isdecimal() and len(part) < 10 for part in parts):
        raise click.BadParameter(NO_NUMBER.format(text[:40], "size", "512 or 512x768"))
    return {"height": int(parts[0]), "width": int(parts[-1])}


def _count(name: str, text: str) -> dict[str, int]:
    if not text.strip().isdecimal() or len(text) > 9:
        raise click.BadParameter(NO_NUMBER.format(text[:40], f"number of {name}", "2"))
    return {name: int(text)}


AXES: Mapping[str, Callable[[str], dict[str, int]]] = {
    "size": _sides,
    **{name: partial(_count, name) for name in ("steps", "images", "controls", "hands")},
}
"""What can be swept, and the values that a text means."""


def _size(context: click.Context, option: click.Parameter, text: str) -> dict[str, int]:
    return _sides(text)


def _kinds(context: click.Context, option: click.Parameter, text: str) -> tuple[str, ...]:
    kinds = tuple(part.strip() for part in text.split(",") if part.strip())
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(KINDS)}")
    return kinds or DEFAULT.kinds


def _with_controls(kinds: tuple[str, ...], controls: int | None) -> tuple[str, ...]:
    """One kind for each ControlNet."""
    if controls is None or controls == len(kinds):
        return kinds
    if controls and len(kinds) > 1:
        raise UsageError(
            f"--kind names {len(kinds)} ControlNets, and --controls {controls}; give one of them"
        )
    return kinds[:1] * min(controls, MOST_SAMPLES + 1)


def _axes(kinds: tuple[str, ...], texts: Sequence[str]) -> dict[str, list[dict[str, object]]]:
    """``size=256,512``, each name once."""
    axes: dict[str, list[dict[str, object]]] = {}
    for text in " ".join(texts).split():
        name, _, values = text.partition("=")
        if name not in AXES or not values or name in axes:
            raise click.BadParameter(
                f"{text[:40]!r}: expected NAME=VALUE,.. with a NAME of {', '.join(AXES)}, each once"
            )
        changes = [AXES[name](value) for value in values.split(",")]
        if name == "controls":
            axes[name] = [{"kinds": _with_controls(kinds, change[name])} for change in changes]
        else:
            axes[name] = [dict(change) for change in changes]
    return axes


@click.command()
@click.option(
    "--kind", "kinds", metavar="KIND,..", default=DEFAULT.kinds[0], show_default=True, callback=_kinds,
    help=f"One ControlNet each: {', '.join(KINDS)}.",
)  # fmt: skip
@click.option(
    "--controls", type=click.IntRange(min=0), metavar="N", help="So many ControlNets of one kind; 0 for none."
)
@click.option("--steps", type=int, default=DEFAULT.steps, show_default=True, help="Steps of DDIM.")
@click.option(
    "--scale", type=float, default=DEFAULT.scale, show_default=True,
    help="Of guidance; 1 leaves the negative prompt out.",
)  # fmt: skip
@click.option("--denoising", type=float, help="Start from a picture: the share of the steps that are run.")
@click.option("--guess-mode", is_flag=True, help="No control on the negative prompt.")
@click.option("--images", type=int, default=DEFAULT.images, show_default=True, help="How many pictures.")
@click.option(
    "--size", metavar="PIXELS|HxW", default="512", show_default=True, callback=_size,
    help="Of the picture: multiples of 64.",
)  # fmt: skip
@click.option(
    "--schedule", type=click.Choice(["batched", "two-pass"]), default="batched", show_default=True,
    help="Both prompts in one batch, or one after the other.",
)  # fmt: skip
@click.option(
    "--hands", type=int, default=DEFAULT.hands, show_default=True,
    help="With openpose: hands in the picture.",
)  # fmt: skip
@click.option("--rate", type=float, metavar="FPS", help="Also a second of video with so many pictures.")
@click.option(
    "--hardware", metavar="CHIP,..", multiple=True,
    help="Lower bounds on these chips, or CHIP.toml; all for every chip of the list.",
)  # fmt: skip
@click.option(
    "--by", type=click.Choice(["graph", "chip"]), default="graph", show_default=True,
    help="A row for each graph, or for each chip [all], that of the least time first.",
)  # fmt: skip
@as_dtype_option
@click.option("--latency", is_flag=True, help="Also time every graph in ONNX Runtime: minutes.")
@click.option(
    "--runs", type=click.IntRange(1, MOST_RUNS), default=3, show_default=True, help="Of each with --latency."
)
@click.option(
    "--sweep", multiple=True, metavar="NAME=A,B ..", help=f"A row for each point; names: {', '.join(AXES)}."
)
@click.argument("more", nargs=-1, metavar="")
@plot_option("Draw each graph's share as bars.")
@with_wide
@format_option("table", "json", "csv", "md")
def bill(
    kinds: tuple[str, ...],
    controls: int | None,
    size: dict[str, int],
    hardware: tuple[str, ...],
    by: str,
    latency: bool,
    runs: int,
    sweep: tuple[str, ...],
    more: tuple[str, ...],
    plot: Path | None,
    wide: bool,
    output_format: str,
    **options: Any,
) -> None:
    """Say what a picture of the reference pipeline costs: each graph, its calls, and all of it.

    Nothing is exported: every figure comes from exact formulas in batch and size.
    """
    from onnxlens.reports.tables.bill import bill_by_chip, bill_document, bill_table, sweep_table

    if more and not sweep:
        raise UsageError(f"{more[0]!r}: bill has no TARGET; --sweep stands before NAME=VALUE,..")
    if sweep and (latency or plot is not None):
        raise UsageError("--sweep: --latency and --plot are of one bill; leave them out")
    if by == "chip" and (sweep or latency):
        raise UsageError("--by chip: a row is all of one bill on a chip; leave --sweep and --latency out")
    options |= {**size, "kinds": _with_controls(kinds, controls), "stored_as": options["stored_as"] or ""}
    request = BillRequest(**options)
    axes = _axes(kinds, (*sweep, *more))
    chips = ",".join(hardware) or ("all" if by == "chip" else "")
    with progress.shown("bill") as shown:
        found = onnxlens.bill_of(request, hardware=chips, runs=runs * latency, progress=shown)
        swept = onnxlens.bill_sweep(request, axes, hardware=chips) if axes else ()
    if plot is not None:
        onnxlens.write_bill_plot(found, plot)
    table = bill_by_chip if by == "chip" else bill_table
    width = screen_width() if output_format == "table" and not wide else None
    print_result(
        output_format,
        partial(bill_document, found, swept),
        lambda shown: sweep_table(swept, list(axes), shown) if swept else table(found, shown, width),
    )
