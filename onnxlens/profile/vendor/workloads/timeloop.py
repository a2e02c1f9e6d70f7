"""Timeloop's problem files, version 0.4: timeloop.csail.mit.edu/v4/input-formats/problem.

A file is one layer: ``shape`` has the loops and how they index each tensor, ``instance`` their sizes and the
strides and dilations. Names of loops are single letters. A convolution is the grouped form of Timeloop's own
``cnn_layer`` shape, whose R, P are along the width and S, Q along the height.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from onnxlens.profile.vendor.workloads.layers import NoForm, as_product, plane_of
from onnxlens.profile.vendor.workloads.written import Entry, Files, file_names, yaml_text
from onnxlens.specs.array_fit import MatrixWork
from onnxlens.specs.workload import WorkLayer

VERSION = 0.4

Projection = Sequence[Sequence[Sequence[str]]]


def files(layers: Sequence[WorkLayer], graph: str) -> Files:
    """A file for each layer in the folder ``GRAPH``: its number in the order of execution, and its name."""
    entries: list[Entry] = []
    texts: dict[str, str] = {}
    refused: dict[int, str] = {}
    names = file_names(layers, lambda name: name.isascii() and name.isprintable() and "/" not in name)
    for number, (layer, name) in enumerate(zip(layers, names, strict=True), 1):
        try:
            problem, macs = problem_of(layer.work)
        except NoForm as error:
            refused[layer.node] = f"the shapes that are written for Timeloop have no form for {error}"
            continue
        file = f"{graph}/{number:04}-{name}.yaml"
        texts[file] = yaml_text({"problem": problem})
        entries.append(Entry(layer, name, file, layer.runs, macs, str(problem["instance"])))
    return Files(texts, entries, refused)


def problem_of(work: MatrixWork) -> tuple[Mapping[str, Any], int]:
    """The problem, and its MACs: the product of its loops.

    Raises:
        NoForm: a convolution along more than two axes.
    """
    product = as_product(work)
    if product is not None:
        sizes = {
            "H": product.times,
            "M": product.positions,
            "K": product.input_channels,
            "N": product.output_channels,
        }
        return _problem("Batched-GEMM", PRODUCT, sizes, {}), prod(sizes.values())
    plane = plane_of(work)
    (high, wide), (taps_high, taps_wide) = plane.out, plane.kernel
    sizes = {
        "R": taps_wide, "S": taps_high, "P": wide, "Q": high, "C": work.input_channels,
        "K": work.output_channels, "N": work.times, "G": work.groups,
    }  # fmt: skip
    (stride_high, stride_wide), (dilation_high, dilation_wide) = plane.stride, plane.dilation
    coefficients = {
        "Wstride": stride_wide, "Hstride": stride_high,
        "Wdilation": dilation_wide, "Hdilation": dilation_high,
    }  # fmt: skip
    return _problem("Grouped-CNN-Layer", CONVOLUTION, sizes, coefficients), prod(sizes.values())


def _plain(letters: str) -> Projection:
    return [[[letter]] for letter in letters]


PRODUCT: Mapping[str, Projection] = {"A": _plain("HMK"), "B": _plain("HKN"), "Z": _plain("HMN")}
CONVOLUTION: Mapping[str, Projection] = {
    "Weights": _plain("GCKRS"),
    "Inputs": [
        *_plain("NGC"),
        [["R", "Wdilation"], ["P", "Wstride"]],
        [["S", "Hdilation"], ["Q", "Hstride"]],
    ],
    "Outputs": _plain("NGKQP"),
}
"""By tensor, how the loops index it; the last is written."""


def _problem(
    name: str, tensors: Mapping[str, Projection], sizes: Mapping[str, int], coefficients: Mapping[str, int]
) -> Mapping[str, Any]:
    *_, written = tensors
    spaces = [
        {"name": tensor, "projection": projection, **({"read_write": True} if tensor == written else {})}
        for tensor, projection in tensors.items()
    ]
    shape: dict[str, Any] = {"name": name, "dimensions": list(sizes)}
    if coefficients:
        shape["coefficients"] = [{"name": each, "default": 1} for each in coefficients]
    return {
        "version": VERSION,
        "shape": {**shape, "data_spaces": spaces},
        "instance": {**sizes, **coefficients},
    }
