"""The report's page and its CSV files, from the evidence alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from onnxlens.reports.tables.bill import bill_table
from onnxlens.reports.tables.render import render_table
from reference_report.tables import annotator_table, control_table, figures, other_tables
from reference_report.tables import pipeline_tables as pipeline
from reference_report.tables.cells import PAGE
from reference_report.tables.evidence import Evidence
from reference_report.tables.printed import SCENARIOS

INTRODUCTION = """\
# The reference report

A survey of ControlNet v1.0 on Stable Diffusion 1.5, written for a chip team, prints tables of what its
networks cost. This page sets each printed figure beside ours and says why they differ. Printed figures are
quoted; ours are counted from the exported graphs, float32, without weights, exact, under the [counting
conventions](../docs/counting.md): MACs are multiply-accumulates of matrix work, FLOPs quoted as true are 2
x MACs alone, params count each weight once.

`bash scripts/reference_report.sh` makes this folder again; `--figures` draws the figures, `--pictures`
the data flow of every graph, `--pipeline` schedules and trains a step and draws the plots, and
`--onnx-tool` has onnx-tool 1.0.1 read every graph, with seeded weights at opset 18. [What the chips' own
compilers say](vendors/README.md), module by module, has a page of its own, made by `--vendors`. The
tables are there as CSV too, with every digit: [annotators](annotators.csv), [ControlNet and
SD](control.csv), [sizes](sizes.csv), the bill with [canny](bill-canny.csv) and
[openpose](bill-openpose.csv), [overlap](overlap.csv), [training modes](training.csv), [a training
step](training-step.csv), [scenarios](scenarios.csv), [graphs](graphs.csv).
"""

ABOUT_FIGURES = """\
## Figures

The document's pictures, drawn from the graphs: every box is counted, every shape on an arrow is that of a
tensor of the exported file, numbers are the order of execution. [Files of
groups](../docs/grouping.md#the-surveys-names) give the document's names to parts of the networks and say
which modules each name covers. What the pipeline runs between the graphs, and how often, is written down in
`onnxlens/reference_model/pipeline.py` and held to the graphs' inputs and outputs.
"""

ABOUT_TRAINING = """\
## Training modes

The optimiser's list is that of the published training code: `sd_locked` trains the ControlNet alone; without
it SD's `output_blocks` and `out` are trained too. In every mode the UNet's encoder and middle block run
without gradients, and CLIP and the VAE are locked; a locked decoder passes gradients on to the controls.
`only_mid_control` uses one control: no gradient arrives at the 12 zero convolutions that nothing reads then,
although the optimiser lists them.
"""

ABOUT_STEP = """\
One step at 512 x 512, batch 4, float32, AdamW. *Saved* is what PyTorch keeps from the forward to the backward
pass, *total* all that is held when the backward pass begins, with the gradients that it makes. Checkpointing
as published keeps only the inputs of res blocks and transformer blocks, and computes these again.
`onnxlens training` has it module by module; [how it is counted](../docs/training.md#how-it-is-counted).
"""

ABOUT_BILL = """\
## The bill of a picture

The document's totals are sums of one step. A picture is steps x guidance x graphs, and the ends: here the
published demo's defaults, 512 x 512, 20 steps, guidance 9 with both prompts in a batch of 2, floats held as
int8. Canny runs no network, and pays for all rows but the annotator's. Openpose looks for each of two hands
at four scales. *Weights* are resident, *live* is the most activations at once, *moved* is what nodes read and
write where nothing is fused. Times are lower bounds, graphs one after another, each with its units all busy
at once; elementwise operations have no published int8 rate on these chips and are left out. What limits a
time is compute where no memory is named. `onnxlens bill` has other sizes, steps and kinds, at once;
[what is counted](../docs/bill.md#what-is-counted).
"""

ABOUT_OVERLAP = """\
## What of a step overlaps

The document asks whether the ControlNet can run beside SD's encoder. It can: neither reads anything of the
other, up to the first addition before SD's decoder, which waits for all 13 controls. Each takes about a
quarter of the step and the decoder nearly half, so that no number of engines makes a step more than about
1.4 times as fast. Two engines that share one memory gain less, as both stream weights at the same time, and
two streams of one chip least: what overlaps there is the arithmetic of one with the traffic of the other.
From step to step nothing overlaps, as each reads the latent of the one before. Times are lower bounds of each
module, attention fused; [how a schedule is made](../docs/overlap.md#schedule-and-bound).
"""

ABOUT_ANNOTATORS = """\
## Annotators

The networks that turn a photograph into a control image, at 512 x 512. A difference is the printed figure
against ours: figures *agree* when ours rounds to what is printed, and agree *cut off* when the document
dropped digits unrounded. The last two rows are networks that the document names as checkpoints and gives no
figures for. Segmentation, which its introduction names and none of its tables has, is among the
[graphs](#graphs).
"""

ABOUT_CONTROL = """\
## ControlNet and Stable Diffusion

One denoising step at 512 x 512, batch 2: the negative and the positive prompt side by side. *True* is ours;
*reconstructed* is the printed figure put together again from parts that are counted, and the verdict says
whether that gives what is printed.
"""

ABOUT_SIZES = """\
## The sizes that the demo runs

The document counts every annotator at 512 x 512. The published demo runs the body network at 184 x 184, the
hand network at four scales of 368 x 368 for each hand it finds, and the depth network at 384 x 384.
"""

ABOUT_SCENARIOS = """\
## Scenarios

As the document has them, with the graphs of this tool's catalog beside them. Its texts under *human pose*
and *scribble* are swapped: each describes the other.
"""

ABOUT_GRAPHS = """\
## Graphs

ONNX files are not kept here: the command makes one, with seeded weights, a manifest and module names in it.
onnx-tool does not count MACs but weighted instructions (an exponential 32, a softmax 36 an element, a
division 4, a bias addition 1), so its count is the larger one. A row of its table is an operator; for rows
that are modules use `onnxlens profile GRAPH`. `control-ldm`, ControlNet and UNet in one graph, is drawn
[here](pictures/control-ldm.svg).
"""


def document_report(evidence: Evidence, committed: Path) -> Mapping[str, str]:
    """The texts of the report, by file name.

    Args:
        evidence: what the tables are counted from.
        committed: the folder of the tables that are slow to make.
    """
    annotators = annotator_table.annotator_rows(evidence)
    control = control_table.control_rows(evidence)
    sizes = other_tables.size_rows(evidence)
    graphs = other_tables.graph_rows(evidence)
    training = figures.training_rows(evidence)
    overlaps = pipeline.read_rows(pipeline.OverlapRow, committed / pipeline.OVERLAP)
    steps = pipeline.read_rows(pipeline.StepRow, committed / pipeline.TRAINING_STEP)
    bills = {
        f"bill-{kind}.csv": bill_table(bill, "csv", None) + "\n" for kind, bill in pipeline.bills().items()
    }
    sections = (
        INTRODUCTION,
        ABOUT_ANNOTATORS,
        render_table(annotators, annotator_table.PAGE_COLUMNS, "md") + "\n",
        ABOUT_CONTROL,
        render_table(control, control_table.PAGE_COLUMNS, "md") + "\n",
        "## Corrections\n",
        "\n".join(f"- {line}" for line in other_tables.corrections(evidence)) + "\n",
        ABOUT_FIGURES,
        render_table(figures.FIGURES, figures.FIGURE_COLUMNS, "md") + "\n",
        figures.shown_figures(),
        ABOUT_TRAINING,
        render_table(training, figures.TRAINING_PAGE, "md") + "\n",
        ABOUT_STEP,
        render_table(steps, pipeline.STEP_PAGE, "md") + "\n",
        ABOUT_BILL,
        render_table(list(pipeline.bill_rows()), pipeline.BILL_PAGE, "md") + "\n",
        figures.shown(figures.BILL_PLOT),
        ABOUT_OVERLAP,
        render_table(overlaps, pipeline.OVERLAP_PAGE, "md") + "\n",
        figures.shown(figures.OVERLAP_PLOT),
        ABOUT_SIZES,
        render_table(sizes, other_tables.SIZE_PAGE, "md") + "\n",
        ABOUT_SCENARIOS,
        render_table(SCENARIOS, other_tables.SCENARIO_COLUMNS, "md") + "\n",
        ABOUT_GRAPHS,
        render_table(graphs, other_tables.GRAPH_PAGE, "md") + "\n",
    )
    return {
        PAGE: "\n".join(sections),
        "annotators.csv": render_table(annotators, annotator_table.DATA_COLUMNS, "csv") + "\n",
        "control.csv": render_table(control, control_table.DATA_COLUMNS, "csv") + "\n",
        "sizes.csv": render_table(sizes, other_tables.SIZE_DATA, "csv") + "\n",
        "training.csv": render_table(training, figures.TRAINING_DATA, "csv") + "\n",
        **bills,
        "scenarios.csv": render_table(SCENARIOS, other_tables.SCENARIO_COLUMNS, "csv") + "\n",
        "graphs.csv": render_table(graphs, other_tables.GRAPH_DATA, "csv") + "\n",
    }
