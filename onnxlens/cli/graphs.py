"""``onnxlens graphs``: the graphs of the reference model."""

from __future__ import annotations

from functools import partial

import click

import onnxlens
from onnxlens.cli.options import print_result


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def graphs(as_json: bool) -> None:
    """List the graphs of the reference model."""
    from onnxlens.reports.documents import catalog_document
    from onnxlens.reports.tables.graphs import catalog_table

    specs = onnxlens.list_graphs()
    output_format = "json" if as_json else "table"
    print_result(output_format, partial(catalog_document, specs), partial(catalog_table, specs))
