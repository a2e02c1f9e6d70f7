"""The report's figures: all are made, and their groups have the expected content."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from html import unescape
from pathlib import Path

import pytest

from onnxlens.profile.flow.collapse import collapsed
from onnxlens.profile.flow.deepest import DeepestFlow
from onnxlens.profile.flow.group import grouped
from onnxlens.profile.flow.group_file import read_groups
from onnxlens.reference_model import catalog
from onnxlens.reports.drawing.composition import composed
from onnxlens.reports.drawing.dot import dot_source
from onnxlens.reports.drawing.title import description, heading
from onnxlens.specs.flow import FlowGraph
from reference_report.figures.figures import FLOWS, Sources, figure
from reference_report.report import deepest_flow, weightless_ledger
from reference_report.tables.figures import FIGURES, PLOTS, Figure
from tests.reports.drawing.readable import require_readable

REPORTS = Path(__file__).parents[2] / "reports"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def sources() -> Sources:
    return Sources(deepest_flow, weightless_ledger)


def test_the_report_lists_exactly_the_figures_that_are_made() -> None:
    assert [listed.name for listed in FIGURES] == list(FLOWS)
    plots = {listed.name for listed in PLOTS}
    assert {path.stem for path in (REPORTS / "figures").iterdir()} == set(FLOWS) | plots


def test_every_committed_figure_is_of_a_size_for_a_page() -> None:
    for listed in (*FIGURES, *PLOTS):
        assert (REPORTS / listed.file).stat().st_size < 300_000, listed.name
        _, _, width, height = map(
            float, ElementTree.parse(REPORTS / listed.file).getroot().attrib["viewBox"].split()
        )
        assert (width, height) < (1900, 2800), listed.name  # points; the text is of 9 to 11


def texts_in(picture: Path) -> list[str]:
    """All text of a picture, its title and description first."""
    root = ElementTree.parse(picture).getroot()
    written = [" ".join("".join(text.itertext()).split()) for text in root.iter(f"{SVG}text")]
    return [str(root[0].text), str(root[1].text), *sorted(filter(None, written))]


def texts_of(flow: FlowGraph, color: str) -> list[str]:
    """The same of a flow, before Graphviz sees it."""
    marked_up = re.findall("<FONT[^>]*>(.*?)</FONT>", dot_source(flow, color))
    written = [" ".join(unescape(re.sub("<[^>]*>", "", text)).split()) for text in marked_up]
    return [heading(flow), description(flow), *sorted(filter(None, written))]


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param(listed, marks=pytest.mark.slow if listed.graph == "control-ldm" else (), id=listed.name)
        for listed in FIGURES
    ],
)
def test_a_committed_figure_is_the_scripts_output(listed: Figure, sources: Sources) -> None:
    flow = figure(listed.name, sources)
    require_readable(flow, listed.color)
    stale = f"stale: run scripts/reference_report.sh --figures ({listed.name})"
    assert texts_in(REPORTS / listed.file) == texts_of(flow, listed.color), stale


def test_groups_come_for_these_graphs() -> None:
    assert catalog.grouped() == ("control-ldm", "controlnet", "sd-unet")
    assert all(catalog.groups_file(name).is_file() for name in catalog.grouped())


def grouped_once(graph: str) -> FlowGraph:
    """The groups of a graph, closed."""
    return collapsed(grouped(DeepestFlow(deepest_flow(graph)), read_groups(catalog.groups_file(graph))), 1)


def test_the_unets_groups_hold_all_of_its_macs_and_params() -> None:
    flow = grouped_once("sd-unet")
    totals = weightless_ledger("sd-unet").totals
    assert sum(node.macs for node in flow.nodes) == totals.macs == 803_273_441_280
    assert sum(node.params for node in flow.nodes) == totals.params == 859_520_964
    assert flow.notes == ()
    assert [node.title for node in flow.nodes if node.order] == [
        "SD_TimeEmbed", "SD_Input",
        "SD_EncoderBlock_1", "SD_EncoderBlock_2", "SD_EncoderBlock_3", "SD_Encoder_1", "SD_Encoder_2",
        "SD_MiddleBlock",
        "SD_Decoder_2", "SD_Decoder_1", "SD_DecoderBlock_3", "SD_DecoderBlock_2", "SD_DecoderBlock_1",
        "SD_Output",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("group", "controls"),
    [
        ("SD_Decoder_2", (11, 12)),
        ("SD_Decoder_1", (10,)),
        ("SD_DecoderBlock_3", (7, 8, 9)),
        ("SD_DecoderBlock_2", (4, 5, 6)),
        ("SD_DecoderBlock_1", (0, 1, 2, 3)),
    ],
)
def test_a_decoder_takes_the_skips_and_controls_of_its_encoder(group: str, controls: tuple[int, ...]) -> None:
    flow = grouped_once("sd-unet")
    titles = {node.id: node.title for node in flow.nodes}
    (box,) = (node for node in flow.nodes if node.title == group)
    feeding = [edge for edge in flow.edges if edge.target == box.id]
    taken = sorted(
        int(titles[edge.source][8:]) for edge in feeding if titles[edge.source].startswith("control_")
    )
    assert tuple(taken) == controls
    mirror = group.replace("Decoder", "Encoder")
    skips = [edge for edge in feeding if titles[edge.source] == mirror]
    # one for each control but the middle block's and the stem's
    assert len(skips) == len([control for control in controls if control not in (0, 12)])


def test_the_controlnets_groups_take_turns_and_hold_all_of_it() -> None:
    flow = grouped_once("controlnet")
    totals = weightless_ledger("controlnet").totals
    assert sum(node.macs for node in flow.nodes) == totals.macs == 283_291_975_680
    assert sum(node.params for node in flow.nodes) == totals.params == 361_279_120
    assert flow.notes == ()
    assert [node.title for node in flow.nodes if node.order] == [
        "ControlNet_TimeEmbed", "HintBlock", "ControlNet_Input",
        "ControlNet_EncoderBlock_1", "ControlNet_EncoderBlock_2", "ControlNet_EncoderBlock_3",
        "ControlNet_Encoder_1", "ZeroConv", "ControlNet_Encoder_2", "ZeroConv",
        "ControlNet_MiddleBlock", "ZeroConv",
    ]  # fmt: skip


HINT = [
    "hint", "Conv2d", *["SiLU", "Conv2d"] * 7, "to ControlNet_Input",
]  # fmt: skip
RES_BLOCK = [
    "from SD_EncoderBlock_1", "from SD_TimeEmbed",
    "GroupNorm", "SiLU", "Conv2d", "SiLU", "Linear", "Add", "GroupNorm", "SiLU", "Conv2d", "Conv2d", "Add",
    "to input_blocks.4.1",
]  # fmt: skip
ENCODER_BLOCK = [
    "from SD_Input", "from SD_TimeEmbed", "context",
    "ResBlock", "SpatialTransformer", "ResBlock", "SpatialTransformer", "Downsample",
    "to SD_EncoderBlock_2", "to SD_DecoderBlock_1",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "titles"), [("hint-block", HINT), ("res-block", RES_BLOCK), ("sd-encoder-block", ENCODER_BLOCK)]
)
def test_a_block_alone_has_its_inside_and_its_neighbors(
    name: str, titles: list[str], sources: Sources
) -> None:
    assert [node.title for node in figure(name, sources).nodes] == titles


def test_a_controlnet_encoder_block_has_a_zero_convolution_after_each_part(sources: Sources) -> None:
    flow = figure("controlnet-encoder-block", sources)
    zero = [node.id for node in flow.nodes if "zero_convs" in node.path]
    titles = {node.id: node.title for node in flow.nodes}
    assert [titles[box] for box in zero] == ["ZeroConv"] * 3
    before = [titles[edge.source] for edge in flow.edges if edge.target in zero]
    assert before == ["SpatialTransformer", "SpatialTransformer", "Downsample"]
    after = [titles[edge.target] for edge in flow.edges if edge.source in zero]
    assert after == ["control_1", "control_2", "control_3"]


@pytest.mark.slow
def test_the_step_has_its_two_networks_in_parallel_and_13_links(sources: Sources) -> None:
    flow = figure("controlnet-and-unet", sources)
    picture = composed(flow)
    assert [cluster.layout.cluster.class_name for cluster in picture.page.clusters] == [
        "ControlNet",
        "UNet",
    ]
    controlnet, unet = picture.page.clusters
    assert controlnet.corner[0] + controlnet.layout.width < unet.corner[0]
    assert controlnet.corner[1] == unet.corner[1]
    ports = [placed.port for row in picture.rows.values() for placed in row.ports]
    ends = Counter(port.skip.number for port in ports if port.skip and port.skip.word == "link")
    assert ends == dict.fromkeys(range(1, 14), 2)
    channels = [320] * 4 + [640] * 3 + [1280] * 6
    made = {port.skip.number: port.tensors for port in ports if port.skip and " to " in port.words}
    assert [made[number][0].shape[1] for number in range(1, 14)] == channels
    # the decoder's first box adds the last two; until there nothing of the ControlNet is needed
    first = next(node for node in flow.nodes if node.title == "SD_Decoder_2")
    assert f"needs no control before box {first.order}: " in flow.notes[1]
