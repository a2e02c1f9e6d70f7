"""SCALE-Sim's topology and layout files, as scalesim 3.0.0 reads them (scalesim/topology_utils.py).

A row is a convolution of one image: no batch, groups, padding or dilation, and one stride for both axes. So
the input is as large as what is read of it with its padding; images, groups and equal products run so many
times; a matrix product of (M, K) by (K, N) is a 1 x K kernel on M rows. A name with ``DP`` in it would be
taken for a depthwise convolution, and every value ends with a comma.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from onnxlens.profile.vendor.workloads.layers import NoForm, as_product, plane_of
from onnxlens.profile.vendor.workloads.written import Entry, Files, file_names
from onnxlens.specs.array_fit import MatrixWork
from onnxlens.specs.workload import WorkLayer

COLUMNS = (
    "Layer name", "IFMAP Height", "IFMAP Width", "Filter Height", "Filter Width", "Channels", "Num Filter",
    "Strides",
)  # fmt: skip

LAYOUT_COLUMNS = 24
"""Of factors and orders: all 1, as they are not used without a layout of one's own."""

DEPTHWISE = "DP"

Row = tuple[int, ...]


def files(layers: Sequence[WorkLayer], graph: str) -> Files:
    """``GRAPH.csv`` and the ``GRAPH.layout.csv`` that the command needs with it."""
    entries: list[Entry] = []
    rows: list[str] = []
    refused: dict[int, str] = {}
    file = f"{graph}.csv"
    names = file_names(layers, lambda name: not set(name) & set(',"\n\r') and DEPTHWISE not in name)
    for layer, name in zip(layers, names, strict=True):
        try:
            row, times = row_of(layer.work)
        except NoForm as error:
            refused[layer.node] = f"SCALE-Sim has no form for {error}"
            continue
        rows.append(f"{name}, {', '.join(map(str, row))},")
        entries.append(Entry(layer, name, file, times * layer.runs, row_macs(row), str(row)))
    layout = [f"{entry.name}," + " 1," * LAYOUT_COLUMNS for entry in entries]
    texts = {
        file: "\n".join([", ".join(COLUMNS) + ",", *rows]) + "\n",
        f"{graph}.layout.csv": "\n".join(["Layer name," + " factor," * LAYOUT_COLUMNS, *layout]) + "\n",
    }
    return Files(texts, entries, refused)


def row_of(work: MatrixWork) -> tuple[Row, int]:
    """The figures of a row, and how often it runs.

    Raises:
        NoForm: a dilated kernel, two strides, or more than two axes.
    """
    product = as_product(work)
    if product is not None:
        rows, inner, columns = product.positions, product.input_channels, product.output_channels
        return (rows, inner, 1, inner, 1, columns, 1), product.times
    plane = plane_of(work)
    axes = list(zip(plane.out, plane.kernel, plane.stride, plane.dilation, strict=True))
    if any(taps > 1 and dilation > 1 for _, taps, _, dilation in axes):
        raise NoForm(f"a kernel with the dilation {' x '.join(map(str, plane.dilation))}")
    strides = {stride for out, _, stride, _ in axes if out > 1} or {1}
    if len(strides) > 1:
        raise NoForm(f"the strides {' x '.join(map(str, plane.stride))}")
    (stride,) = strides
    given = [(out - 1) * stride + taps for out, taps, _, _ in axes]
    channels = work.input_channels, work.output_channels
    return (*given, *plane.kernel, *channels, stride), work.times * work.groups


def row_macs(row: Row) -> int:
    """What SCALE-Sim counts for a row: as its ``topo_calc_hyperparams`` does."""
    height, width, taps_high, taps_wide, channels, filters, stride = row
    out = [-(-(size - taps + stride) // stride) for size, taps in ((height, taps_high), (width, taps_wide))]
    return prod((*out, taps_high, taps_wide, channels, filters))
