"""ZigZag's workload file, as zigzag-dse 3.9.1 checks it (zigzag/parser/workload_validator.py).

A layer is an equation over named loops with their sizes. ``W`` and ``I`` of its ``operand_source`` name the
layer that makes them, or the layer itself for a constant. Values take 8 bits, unfinished sums 16, as where
ZigZag reads an ONNX file itself, which knows Conv, MatMul and Gemm alone and passes over all else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from onnxlens.profile.vendor.workloads.layers import NoForm, as_product, plane_of
from onnxlens.profile.vendor.workloads.written import Entry, Files, file_names, yaml_text
from onnxlens.specs.array_fit import MatrixWork
from onnxlens.specs.workload import WorkLayer

BITS = {"W": 8, "I": 8, "O": 16, "O_final": 8}

CONVOLUTION = "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]"
PRODUCT = "O[b][d][k]+=I[b][d][c]*W[b][c][k]"

Loops = Mapping[str, Any]


def files(layers: Sequence[WorkLayer], graph: str) -> Files:
    """``GRAPH.yaml``."""
    entries: list[Entry] = []
    described: list[Mapping[str, Any]] = []
    refused: dict[int, str] = {}
    file = f"{graph}.yaml"
    numbers: dict[int, int] = {}
    names = file_names(layers, lambda name: name.isprintable())
    for position, (layer, name) in enumerate(zip(layers, names, strict=True)):
        try:
            loops = loops_of(layer.work)
        except NoForm as error:
            refused[layer.node] = f"ZigZag has no form for {error}"
            continue
        number = numbers[position] = len(described)
        sources = {
            operand: number if made is None else numbers.get(made, number)
            for operand, made in (("W", layer.right), ("I", layer.left))
        }
        head = {"id": number, "name": name}
        described.append({**head, **loops, "operand_precision": BITS, "operand_source": sources})
        entries.append(Entry(layer, name, file, layer.runs, prod(loops["loop_sizes"]), str(loops)))
    return Files({file: yaml_text(described)}, entries, refused)


def loops_of(work: MatrixWork) -> Loops:
    """The operator, equation and loops of a layer.

    Raises:
        NoForm: a convolution along more than two axes.
    """
    product = as_product(work)
    if product is not None:
        sizes = {
            "B": product.times,
            "C": product.input_channels,
            "D": product.positions,
            "K": product.output_channels,
        }
        return _described("Gemm", PRODUCT, (), sizes)
    plane = plane_of(work)
    (out_y, out_x), (taps_y, taps_x) = plane.out, plane.kernel
    sizes = {
        "B": work.times, "K": work.output_channels, "G": work.groups, "OX": out_x, "OY": out_y,
        "C": work.input_channels, "FX": taps_x, "FY": taps_y,
    }  # fmt: skip
    (stride_y, stride_x), (dilation_y, dilation_x) = plane.stride, plane.dilation
    relations = (f"ix={stride_x}*ox+{dilation_x}*fx", f"iy={stride_y}*oy+{dilation_y}*fy")
    given = (1, *work.given)[-2:] if work.given else plane.given
    read = [min(size, needed) for size, needed in zip(given, plane.given, strict=True)]
    described = _described("Conv", CONVOLUTION, relations, sizes)
    return {**described, "pr_loop_dims": ["IX", "IY"], "pr_loop_sizes": read[::-1]}


def _described(operator: str, equation: str, relations: Sequence[str], sizes: Mapping[str, int]) -> Loops:
    return {
        "operator_type": operator,
        "equation": equation,
        "dimension_relations": list(relations),
        "loop_dims": list(sizes),
        "loop_sizes": list(sizes.values()),
    }
