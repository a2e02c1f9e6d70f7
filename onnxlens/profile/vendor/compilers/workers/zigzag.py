"""Runs ZigZag on every layer of a workload and leaves its report of each: a script, see ``start.py``."""

from __future__ import annotations

import logging
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
import zigzag
from zigzag.api import get_hardware_performance_zigzag


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Model every layer; what one fails at is refused."""
    logging.disable(logging.WARNING)
    inputs, reports = Path(zigzag.__file__).parent / "inputs", Path(request["reports"])
    reports.mkdir()
    layers = yaml.safe_load(Path(request["workload"]).read_text(encoding="utf-8"))
    refused = []
    for number, layer in enumerate(layers):
        print(f"{layer['name']} ({number + 1} of {len(layers)})", flush=True)
        try:
            with tempfile.TemporaryDirectory(dir=".") as folder:
                get_hardware_performance_zigzag(
                    [{**layer, "id": 0, "operand_source": {"W": 0, "I": 0}}],
                    str(inputs / "hardware" / f"{request['hardware']}.yaml"),
                    str(inputs / "mapping" / f"{request['mapping']}.yaml"),
                    dump_folder=folder,
                    loma_show_progress_bar=False,
                )
                (report,) = Path(folder).glob("*_complete.json")
                report.rename(reports / report.name)
        except Exception as error:  # of whatever kind, it is one layer's
            refused.append({"name": layer["name"], "reason": f"{type(error).__name__}: {error}"})
    return {"version": version("zigzag-dse"), "refused": refused}
