"""Makes reports/ again: see reference_report.sh."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from onnxlens.cli.progress import shown
from onnxlens.errors import OnnxlensError
from reference_report.pipeline_costs import write_pipeline
from reference_report.report import write_figures, write_peer_tables, write_pictures, write_tables
from reference_report.vendors.networks import CHIPS, NETWORKS
from reference_report.vendors.page import FOLDER as VENDORS
from reference_report.vendors.page import write_page, write_vendors
from reference_report.vendors.recording import Recording

FOLDER = Path(__file__).parents[2] / "reports"


def main() -> int:
    """Make what the switches ask for, and the tables, which read onnx-tool's totals."""
    parser = argparse.ArgumentParser(description="make reports/ again: the tables, and what is switched on")
    parser.add_argument(
        "--figures", action="store_true", help="draw the document's figures too (needs Graphviz)"
    )
    parser.add_argument(
        "--pictures", action="store_true", help="draw the data flow of every graph too (needs Graphviz)"
    )
    parser.add_argument(
        "--pipeline", action="store_true", help="schedule and train a step too, and draw the plots"
    )
    parser.add_argument(
        "--onnx-tool", action="store_true", help="have onnx-tool read every graph (7 GB of memory)"
    )
    parser.add_argument(
        "--vendors",
        nargs="*",
        choices=[network.name for network in NETWORKS],
        help="compile these networks, or all, with the tools that are there, and draw the pictures",
    )
    parser.add_argument(
        "--with", nargs="+", choices=CHIPS, default=(), dest="tools", help="these tools alone"
    )
    parser.add_argument("--again", action="store_true", help="run tools whose records are there too")
    chosen = parser.parse_args()
    failures: Sequence[str] = ()
    try:
        with shown("reports") as report:
            if chosen.onnx_tool:
                write_peer_tables(FOLDER, report)
            if chosen.figures:
                write_figures(FOLDER, report)
            if chosen.pipeline:
                write_pipeline(FOLDER, report)
            if chosen.pictures:
                write_pictures(FOLDER, report)
            if chosen.vendors is not None:
                asked = Recording(chosen.tools, chosen.again)
                failures = write_vendors(FOLDER / VENDORS, chosen.vendors, asked, report)
            report("counting", 0, 0)
            write_page(FOLDER / VENDORS)
            write_tables(FOLDER, FOLDER)
    except OnnxlensError as error:
        print(f"reference_report: {error}", file=sys.stderr)
        return 2
    for failure in failures:
        print(f"reference_report: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
