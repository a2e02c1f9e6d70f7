"""Makes reports/ again: see reference_report.sh."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from onnxlens.errors import OnnxlensError
from onnxlens.reference_report import write_peer_tables, write_pictures, write_tables

FOLDER = Path(__file__).parent.parent / "reports"


def main() -> int:
    """Make what the switches ask for, and the tables, which read onnx-tool's totals."""
    parser = argparse.ArgumentParser(description="make reports/ again: the tables, and what is switched on")
    parser.add_argument("--pictures", action="store_true", help="draw the data flows too (needs Graphviz)")
    parser.add_argument(
        "--onnx-tool", action="store_true", help="have onnx-tool read every graph (7 GB of memory)"
    )
    chosen = parser.parse_args()
    try:
        if chosen.onnx_tool:
            write_peer_tables(FOLDER, _say)
        if chosen.pictures:
            write_pictures(FOLDER, _say)
        _say("counting", 0, 0)
        write_tables(FOLDER, FOLDER)
    except OnnxlensError as error:
        print(f"reference_report: {error}", file=sys.stderr)
        return 1
    return 0


def _say(step: str, done: int, total: int) -> None:
    print(f"{done + 1}/{total} {step}" if total else step, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
