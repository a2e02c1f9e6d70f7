"""The report's page and its CSV files, from the evidence alone."""

from __future__ import annotations

from collections.abc import Mapping

from onnxlens.reports.tables.render import render_table
from reference_report.tables import annotator_table, control_table, figures, other_tables, prose
from reference_report.tables.corrections import corrections
from reference_report.tables.evidence import Evidence
from reference_report.tables.links import PAGE
from reference_report.tables.printed import SCENARIOS


def document_report(evidence: Evidence) -> Mapping[str, str]:
    """The texts of the report, by file name."""
    annotators = annotator_table.annotator_rows(evidence)
    control = control_table.control_rows(evidence)
    sizes = other_tables.size_rows(evidence)
    graphs = other_tables.graph_rows(evidence)
    training = figures.training_rows(evidence)
    sections = (
        prose.INTRODUCTION,
        prose.ANNOTATORS,
        render_table(annotators, annotator_table.PAGE_COLUMNS, "md") + "\n",
        prose.CONTROL,
        render_table(control, control_table.PAGE_COLUMNS, "md") + "\n",
        "## Corrections\n",
        "\n".join(f"- {line}" for line in corrections(evidence)) + "\n",
        prose.FIGURES,
        render_table(figures.FIGURES, figures.FIGURE_COLUMNS, "md") + "\n",
        figures.shown_figures(),
        prose.TRAINING,
        render_table(training, figures.TRAINING_PAGE, "md") + "\n",
        prose.SIZES,
        render_table(sizes, other_tables.SIZE_PAGE, "md") + "\n",
        prose.SCENARIOS,
        render_table(SCENARIOS, other_tables.SCENARIO_COLUMNS, "md") + "\n",
        prose.GRAPHS,
        render_table(graphs, other_tables.GRAPH_PAGE, "md") + "\n",
    )
    return {
        PAGE: "\n".join(sections),
        "annotators.csv": render_table(annotators, annotator_table.DATA_COLUMNS, "csv") + "\n",
        "control.csv": render_table(control, control_table.DATA_COLUMNS, "csv") + "\n",
        "sizes.csv": render_table(sizes, other_tables.SIZE_DATA, "csv") + "\n",
        "training.csv": render_table(training, figures.TRAINING_DATA, "csv") + "\n",
        "scenarios.csv": render_table(SCENARIOS, other_tables.SCENARIO_COLUMNS, "csv") + "\n",
        "graphs.csv": render_table(graphs, other_tables.GRAPH_DATA, "csv") + "\n",
    }
