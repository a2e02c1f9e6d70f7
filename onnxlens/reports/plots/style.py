"""The look of every plot, and how it becomes a file: the same figures give the same bytes.

Matplotlib is imported when a plot is made: no other command waits for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil, log2
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from onnxlens.errors import UsageError
from onnxlens.reports.numbers import BINARY_STEPS
from onnxlens.specs.text import printable

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

SUFFIXES = (".svg", ".png")

INK, FAINT, GRID = "#1f2933", "#52606d", "#d9dee4"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#332288", "#7b8794")
"""For any color vision (Okabe and Ito's, and two more), in the order in which they are used."""

MOST_TICKS = 6

_STYLE: Mapping[Any, Any] = MappingProxyType(
    {
        "figure.dpi": 100,
        "font.family": "DejaVu Sans",  # Matplotlib brings it
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.edgecolor": FAINT,
        "axes.labelcolor": INK,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "text.color": INK,
        "text.parse_math": False,  # a name may hold dollars
        "xtick.color": FAINT,
        "ytick.color": FAINT,
        "svg.hashsalt": "onnxlens",
        "svg.fonttype": "path",  # as wide everywhere as it was laid out
    }
)


def require_suffix(path: Path) -> None:
    """Refuse a file that cannot be plotted before any work is done for it.

    Raises:
        UsageError: the suffix is none of ``SUFFIXES``.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: suffix {path.suffix!r} cannot be plotted; choose {' or '.join(SUFFIXES)}")


@contextmanager
def plot(path: Path, title: str, size_inches: tuple[float, float] = (10, 5.6)) -> Iterator[Figure]:
    """An empty figure to draw on, written to ``path`` at the end; 96 or 100 pixels are an inch.

    ``title`` says what is plotted and from which file.

    Raises:
        UsageError: the suffix of ``path`` is none of ``SUFFIXES``.
    """
    require_suffix(path)
    from matplotlib import rc_context, rcdefaults, rcParams
    from matplotlib.figure import Figure

    with rc_context():
        rcdefaults()  # not what the user's own configuration says
        rcParams.update(_STYLE)
        figure = Figure(figsize=size_inches, layout="constrained")
        figure.suptitle(printable(title), fontsize=12, fontweight="bold")
        yield figure
        unnamed = {"Date": None, "Creator": None} if path.suffix == ".svg" else {"Software": None}
        figure.savefig(path, metadata={"Title": printable(title), **unnamed})


def label(text: str, most: int = 48) -> str:
    """A name of the file's as one that can be drawn: its middle left out where it is longer than ``most``."""
    text = "".join(letter if letter.isascii() else "?" for letter in printable(text))
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


def swatch(color: str, text: str) -> Patch:
    """A color in a legend, and what it stands for."""
    from matplotlib.patches import Patch

    return Patch(color=color, label=text)


def tick_text(figure: float, steps: Sequence[tuple[float, str]], unit: str = "") -> str:
    """``1.5 GiB``, ``12.5 ms``: a tick's figure, as short as it can be exact.

    Args:
        figure: what stands at the tick.
        steps: the sizes of larger units and their names, the largest first.
        unit: of what is below all of them.
    """
    for step, name in steps:
        if figure >= step * (1 - 1e-9):  # ticks are multiples of a step, rounded
            return f"{figure / step:g} {name}"
    return f"{figure:g} {unit}".rstrip()


def byte_text(count: float) -> str:
    """``1.5 GiB``."""
    return tick_text(count, BINARY_STEPS, "B")


def byte_axis(axis: Axis, most: float) -> None:
    """Ticks at powers of two, or their multiples, on a linear axis from 0 to ``most`` bytes."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    axis.set_major_locator(MultipleLocator(2 ** max(ceil(log2(max(most, 1) / MOST_TICKS)), 0)))
    axis.set_major_formatter(FuncFormatter(lambda count, _: byte_text(count)))
