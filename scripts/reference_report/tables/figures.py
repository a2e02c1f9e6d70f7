"""The document's figures: which there are, what each shows, and what the training modes train."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from onnxlens.reports.numbers import short_count
from onnxlens.reports.tables.render import Column
from reference_report.tables.evidence import Evidence

FOLDER = "figures"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that the document has or asks for.

    Attributes:
        name: of its file.
        graph: what of the catalog it is drawn from.
        color: the cost that its boxes are colored by.
    """

    name: str
    title: str
    graph: str
    shows: str
    color: str = "macs"

    @property
    def file(self) -> str:
        """Relative to the page."""
        return f"{FOLDER}/{self.name}.svg"


FIGURES: Sequence[Figure] = (
    Figure(
        "pipeline", "The whole pipeline", "all graphs",
        "from prompt and picture to picture: what runs between the graphs, the batch of 2, the loop",
    ),
    Figure(
        "controlnet-and-unet", "ControlNet and SD", "control-ldm",
        "one step, side by side: hint block, encoders, zero convolutions, middle, decoder, 13 links",
    ),
    Figure("hint-block", "HintBlock", "controlnet", "`input_hint_block`: 8 convolutions to 1/8 of the size"),
    Figure("res-block", "ResBlock", "sd-unet", "`input_blocks.4.0`, where the channels double"),
    Figure("spatial-transformer", "SpatialTransformer", "sd-unet", "`input_blocks.1.1`, at the full size"),
    Figure("sd-encoder-block", "SD encoder block", "sd-unet", "`SD_EncoderBlock_1`: `input_blocks.1..3`"),
    Figure(
        "sd-decoder-block", "SD decoder block", "sd-unet",
        "`SD_DecoderBlock_3`: `output_blocks.2..4` with its skips and controls",
    ),
    Figure(
        "controlnet-encoder-block", "ControlNet encoder block", "controlnet",
        "`ControlNet_EncoderBlock_1`: a copy of the UNet's, a zero convolution after each part",
    ),
    Figure(
        "training-middle-control", "Training: SD locked, middle control alone", "control-ldm",
        "what is trained, what is locked, 1 of 13 controls used", "params",
    ),
    Figure(
        "training-sd-locked", "Training: SD locked", "control-ldm",
        "the same, all 13 controls used", "params",
    ),
    Figure(
        "training-sd-unlocked", "Training: SD unlocked", "control-ldm",
        "the same, SD's decoder trained too", "params",
    ),
)  # fmt: skip

BILL_PLOT = Figure(
    "bill-openpose", "The bill of a picture", "all graphs",
    "the share of each graph in the MACs, the bytes, and the least time on three chips",
)  # fmt: skip
OVERLAP_PLOT = Figure(
    "overlap-control-ldm", "A step on two engines", "control-ldm",
    "what runs when on two Ethos-U85: ControlNet beside SD's encoder, then SD's decoder alone",
)  # fmt: skip
PLOTS: Sequence[Figure] = (BILL_PLOT, OVERLAP_PLOT)

FIGURE_COLUMNS: Sequence[Column[Figure]] = (
    Column("figure", lambda f: f"[{f.title}]({f.file})"),
    Column("made from", lambda f: f.graph if f.graph == "all graphs" else f"`{f.graph}`"),
    Column("shows", lambda f: f.shows),
)


def shown(figure: Figure) -> str:
    """A plot on the page."""
    return f"[![{figure.title}: {figure.shows}]({figure.file})]({figure.file})\n"


def shown_figures() -> str:
    """Every figure, the first unfolded; a click on one leads to its file, where it has its full size."""
    return "\n".join(
        f"<details{' open' if index == 0 else ''}><summary>{figure.title}</summary>\n\n"
        f"[![{figure.title}]({figure.file})]({figure.file})\n\n</details>\n"
        for index, figure in enumerate(FIGURES)
    )


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A training mode.

    Attributes:
        params: that the optimiser is given.
        idle_params: of those, the ones that no gradient arrives at.
        locked_params: of ControlNet and UNet.
    """

    mode: str
    trains: str
    controls: int
    params: int
    idle_params: int
    locked_params: int


def training_rows(evidence: Evidence) -> Sequence[TrainingRow]:
    """The document's three modes, counted from the ControlNet's and the UNet's modules."""
    both = evidence.params("controlnet", "sd-unet")
    control = evidence.params("controlnet")
    decoder = _params(evidence, "sd-unet", r"output_blocks\.\d+|out")
    zero_convs = _params(evidence, "controlnet", r"zero_convs\.\d+")
    controls = len(evidence.count("controlnet", None).modules[0].outputs)
    control_alone = "the ControlNet"
    return (
        TrainingRow("SD locked, middle control alone", control_alone, 1, control, zero_convs, both - control),
        TrainingRow("SD locked", control_alone, controls, control, 0, both - control),
        TrainingRow(
            "SD unlocked", "the ControlNet, `output_blocks` and `out` of SD", controls,
            control + decoder, 0, both - control - decoder,
        ),
    )  # fmt: skip


def _params(evidence: Evidence, graph: str, pattern: str) -> int:
    """Of all modules whose whole path matches."""
    modules = evidence.count(graph, None).modules
    return sum(module.params for module in modules if re.fullmatch(pattern, module.path))


TRAINING_PAGE: Sequence[Column[TrainingRow]] = (
    Column("mode", lambda r: r.mode),
    Column("trains", lambda r: r.trains),
    Column("controls used", lambda r: r.controls, right=True),
    Column("params trained", lambda r: f"{r.params:,}", right=True),
    Column("of these without a gradient", lambda r: f"{r.idle_params:,}", right=True),
    Column("params locked", lambda r: short_count(r.locked_params), right=True),
)
TRAINING_DATA: Sequence[Column[TrainingRow]] = (
    Column("mode", lambda r: r.mode),
    Column("controls used", lambda r: r.controls),
    Column("params trained", lambda r: r.params),
    Column("params without a gradient", lambda r: r.idle_params),
    Column("params locked", lambda r: r.locked_params),
)
