"""Makes reports/ again: see reference_report.sh."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from onnxlens.cli.progress import shown
from onnxlens.errors import OnnxlensError
from reference_report.pipeline_costs import write_pipeline
from reference_report.report import write_figures, write_peer_tables, write_pictures, write_tables
from reference_report.vendors.networks import NETWORKS
from reference_report.vendors.page import FOLDER as VENDORS
from reference_report.vendors.page import write_page, write_vendors

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
    chosen = parser.parse_args()
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
                write_vendors(FOLDER / VENDORS, chosen.vendors, report)
            report("counting", 0, 0)
            write_page(FOLDER / VENDORS)
            write_tables(FOLDER, FOLDER)
    except OnnxlensError as error:
        print(f"reference_report: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
