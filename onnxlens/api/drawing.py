"""Tasks that write what a person looks at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.api.counting import flow_of
from onnxlens.errors import ToolError
from onnxlens.specs.progress import Progress, silent
from onnxlens.staging import staged
from onnxlens.targets import Settings, Target

if TYPE_CHECKING:
    from onnxlens.specs.ledger import Ledger
    from onnxlens.specs.measured import NodeTiming


def render_graph(
    target: Target,
    out: Path | str,
    depth: int | None = None,
    settings: Settings | None = None,
    progress: Progress = silent,
    groups: Path | str | None = None,
) -> Path:
    """Draw the data flow between the modules down to ``depth`` into ``out`` (.svg, .png, .pdf or .dot).

    A depth of None is the deepest that a person can follow. Without Graphviz its source is written, as .dot.
    ``groups`` is a file that gives modules names of a person's own: see docs/grouping.md.

    Raises:
        UsageError: the target, a setting, ``groups`` or ``out`` cannot be used.
        GraphError: the file is no ONNX graph.
        ToolError: Graphviz is missing.
    """
    from onnxlens.reports.pictures import require_suffix, write_picture

    place = Path(out)
    require_suffix(place)
    missing = ""
    with staged(place.parent) as stage:
        flow = flow_of(target, depth, settings, progress, groups)
        progress("drawing", 0, 0)
        try:
            write_picture(flow, stage / place.name)
        except ToolError as error:
            missing = str(error)
            write_picture(flow, stage / f"{place.stem}.dot")
    if missing:
        raise ToolError(f"{missing}; wrote {place.with_suffix('.dot')}")
    return place


def write_trace(ledger: Ledger, nodes: Sequence[NodeTiming], out: Path | str) -> Path:
    """Write the run that ``nodes`` timed as a trace for Perfetto or Chrome, its tracks the module hierarchy.

    Raises:
        UsageError: no node was timed, two ran at once, or ``out`` cannot be written.
    """
    from onnxlens.reports.trace import trace_document
    from onnxlens.specs.codec import to_text

    place = Path(out)
    document = trace_document(ledger, nodes)
    with staged(place.parent) as stage:
        (stage / place.name).write_text(to_text(document), encoding="utf-8")
    return place
