"""The page of what chips' own compilers say: made from the committed records alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from onnxlens import render_graph
from onnxlens.api.opened import opened
from onnxlens.specs.progress import Progress, silent
from reference_report.vendors.networks import NETWORKS, Network
from reference_report.vendors.recording import Recording, record_all
from reference_report.vendors.records import Recorded, recorded, reports_of
from reference_report.vendors.tables import exact_table, module_table, remarks, tool_table

FOLDER = "vendors"
PAGE = "README.md"

PICTURED = "mlsd-tiny"
PICTURES: Mapping[str, str] = {
    "ethos-u-u55-256": "Ethos-U55-256, Vela's cycles",
    "tpu-mlir-bm1684x": "BM1684X, tpu-mlir's cycles",
    "rknn-rk3588": "RK3588, rknn-toolkit2's cycles",
}
"""Whose cycles color the network, and what the picture is called."""

PICTURE_DEPTH = 2

INTRODUCTION = """\
# What the chips' own compilers say

Five networks, given to the compilers and simulators of seven chips and runtimes; every layer that they
report is led back to the module that it is of. Made by `bash scripts/reference_report.sh --vendors`, which
runs the tools that are [installed](../../docs/vendors.md#the-tools) and keeps each report in a folder per
network, in [our own form](../../docs/schemas/layer-report.schema.json). This page and the `.csv` files,
which have all modules and every digit, are made of those records alone. `onnxlens ledger GRAPH --layers
RECORD` takes them too.

**How to read the tables.** *MACs* and *our bound* are counted from the graph. A bound is the least cycles
that the published rates and memories of the whole chip allow, in int8 on the Ethos-U and in float16 on the
others. Beside it stands what the tool says, and in brackets how many times our bound that is. `>=` marks a
figure that lacks nodes which the tool refuses or does not model, `~` a part of a layer that modules share;
`-` is a figure that the tool does not have, never 0. Weights are seeded, inputs are samples.

**How far to trust them.** None of the cycles is measured on a chip. Vela's and rknn-toolkit2's are the
vendors' own estimates, tpu-mlir's those of its cycle model, instruction by instruction. nncase has no time:
its column is bytes to and from the K230's memory. The HTP's cycles are what its simulator costs on a PC and
say nothing of the chip's time. OpenVINO's times are measured, on the processor that its remark names. That
machine had other work: the processes of OpenVINO and of the HTP's simulator were preferred to it (Linux'
autogroup, -20), the quickest of some runs counts, and the remark has the others and the load. On an idle
machine they may be less.

**What the ratios tell.** Three on the RK3588 is likely its number of cores: our bound is of all three, the
toolkit's cycles seem to be of one. Under one on the Ethos-U is likely a layer that waits for its weights,
which Vela compresses and our bound reads whole. Large ratios at modules of few MACs are layers for which the
array is too wide or that wait for memory: the `projection` of HED has one output channel.

All tools were given the same file of a network. That of ResNet-18 is of opset 17, as tpu-mlir takes no
ReduceMean of 18. The others are of opset 18.

In the tables of tools, *one module* is the part of the figures whose layers lie in one module, *fused* that
of layers which also run nodes of other modules, that have no part in it (a convolution with the ReLU behind
it: the convolution has all of it), *divided* that of layers whose figures are divided among modules, *no
node* what leads nowhere, such as copies between layouts.
"""


def write_page(folder: Path) -> None:
    """The page and the CSV files, from the records in the same folder."""
    for name, text in texts(folder).items():
        (folder / name).write_text(text, encoding="utf-8")


def texts(folder: Path) -> Mapping[str, str]:
    """The page and the CSV files, by their names."""
    found = [recorded(folder / network.name, network) for network in networks_in(folder)]
    sections = [INTRODUCTION, *(section for each in found for section in _sections(each)), _pictures()]
    tables = {f"{each.network.name}.csv": exact_table(each) for each in found}
    return {PAGE: "\n".join(sections), **tables}


def networks_in(folder: Path) -> Sequence[Network]:
    """Those of which there are records."""
    return [network for network in NETWORKS if (folder / network.name).is_dir()]


def _sections(found: Recorded) -> Iterator[str]:
    network = found.network
    module = f", `{network.module}`" if network.module else ""
    yield f"## {network.title}\n"
    yield (
        f"`{network.target}`{module}: {found.ledger.totals.macs:,} MACs, {len(found.ledger.nodes)} nodes. "
        f"[All modules]({network.name}.csv), [records]({network.name}/).\n"
    )
    yield module_table(found)
    yield tool_table(found)
    yield "\n".join(remarks(found)) + "\n"


def _pictures() -> str:
    lines = [
        "## One network, three vendors\n",
        "M-LSD tiny at 128 x 128, its modules colored by the cycles that three tools give them, each on the "
        "scale of its legend. The dilated "
        "convolution in `block16` is half of the Ethos-U's cycles, as Vela multiplies its holes, and "
        "nearly nothing elsewhere.\n",
    ]
    lines += [f"![{title}]({PICTURED}-{label}.svg)\n" for label, title in PICTURES.items()]
    return "\n".join(lines)


def write_vendor_pictures(folder: Path, progress: Progress = silent) -> None:
    """The network of the pictures, colored by each tool's cycles.

    Raises:
        ToolError: Graphviz is missing.
    """
    reports = {report.label: report for report in reports_of(folder / PICTURED)}
    settings = next(network for network in NETWORKS if network.name == PICTURED).settings("none")
    with opened(PICTURED, settings, progress) as it:
        for label in PICTURES:
            progress(f"drawing {label}", 0, 0)
            out = folder / f"{PICTURED}-{label}.svg"
            render_graph(it, out, PICTURE_DEPTH, layers=[reports[label]], color=f"cycles@{label}")


def write_vendors(
    folder: Path, names: Sequence[str], asked: Recording, progress: Progress = silent
) -> Sequence[str]:
    """Compile the networks of these names, all for none, and make the page and the pictures again.

    Returns:
        What failed, a line each.
    """
    networks = [network for network in NETWORKS if network.name in (names or [network.name])]
    failures = record_all(networks, folder, asked, progress)
    write_page(folder)
    write_vendor_pictures(folder, progress)
    return failures
