"""The report's page and its CSV files, from the evidence alone."""

from __future__ import annotations

from collections.abc import Mapping

from onnxlens.reports.tables.text_tables import rendered
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
        rendered(annotators, annotator_table.PAGE_COLUMNS, "md") + "\n",
        prose.CONTROL,
        rendered(control, control_table.PAGE_COLUMNS, "md") + "\n",
        "## Corrections\n",
        "\n".join(f"- {line}" for line in corrections(evidence)) + "\n",
        prose.FIGURES,
        rendered(figures.FIGURES, figures.FIGURE_COLUMNS, "md") + "\n",
        figures.shown_figures(),
        prose.TRAINING,
        rendered(training, figures.TRAINING_PAGE, "md") + "\n",
        prose.SIZES,
        rendered(sizes, other_tables.SIZE_PAGE, "md") + "\n",
        prose.SCENARIOS,
        rendered(SCENARIOS, other_tables.SCENARIO_COLUMNS, "md") + "\n",
        prose.GRAPHS,
        rendered(graphs, other_tables.GRAPH_PAGE, "md") + "\n",
    )
    return {
        PAGE: "\n".join(sections),
        "annotators.csv": rendered(annotators, annotator_table.DATA_COLUMNS, "csv") + "\n",
        "control.csv": rendered(control, control_table.DATA_COLUMNS, "csv") + "\n",
        "sizes.csv": rendered(sizes, other_tables.SIZE_DATA, "csv") + "\n",
        "training.csv": rendered(training, figures.TRAINING_DATA, "csv") + "\n",
        "scenarios.csv": rendered(SCENARIOS, other_tables.SCENARIO_COLUMNS, "csv") + "\n",
        "graphs.csv": rendered(graphs, other_tables.GRAPH_DATA, "csv") + "\n",
    }
