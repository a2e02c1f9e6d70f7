"""``onnxlens graphs``: the graphs of the reference model."""

from __future__ import annotations

import click

import onnxlens


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def graphs(as_json: bool) -> None:
    """List the graphs of the reference model."""
    from onnxlens.reports.documents import catalog_document
    from onnxlens.reports.tables.graphs import catalog_table
    from onnxlens.specs.codec import to_text

    specs = onnxlens.list_graphs()
    click.echo(to_text(catalog_document(specs)).rstrip() if as_json else catalog_table(specs, "table"))
