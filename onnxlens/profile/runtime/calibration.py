"""This machine as a chip: the best rates of its products, convolutions and copies, in any runtime.

A bound rests on them, so that the fastest of many runs counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from time import perf_counter

import torch
from torch.nn.functional import conv2d

from onnxlens.profile.runtime.latency import seconds_of
from onnxlens.profile.runtime.machine import machine, memory_bytes, usable_cores
from onnxlens.profile.runtime.peaks import convolution_peak, integer_peak, matmul_peak
from onnxlens.specs.progress import Progress

MATRICES = (256, 512, 1024, 2048)
PICTURES = ((64, 28), (64, 112), (128, 28), (256, 56))
"""Channels and side of what a 3 x 3 convolution works on; a short one is not interrupted by others."""

DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8
}  # fmt: skip
"""What processors multiply in units of their own; other types they convert first."""

BUDGET_S = 0.8
"""Of each shape, dtype and runtime: all together take less than a minute."""

CACHES = Path("/sys/devices/system/cpu")
UNKNOWN_CACHE_BYTES = 64 * 2**20
TIMES_CACHE = 4
"""A stream is so many times as long as the last-level cache."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured; rates by dtype, each with the shape and runtime that reached it."""

    macs_per_s: Mapping[str, tuple[float, str]]
    bytes_per_s: tuple[float, str]
    cache_bytes: int | None
    memory_bytes: int
    processor: str
    cores: int
    versions: str


def calibrate(progress: Progress, budget_s: float = BUDGET_S) -> Calibration:
    """Measure this machine; ``budget_s`` is that of each shape."""
    here, threads = machine(), usable_cores()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        rates = {}
        for dtype in DTYPES:
            progress(f"timing products and convolutions of {dtype}", 0, 0)
            rates[dtype] = max(_rates(dtype, threads, budget_s))
        progress("timing copies in memory", 0, 0)
        stream = max(_streams(cache_bytes() or UNKNOWN_CACHE_BYTES, budget_s))
    finally:
        torch.set_num_threads(before)
    versions = f"onnxruntime {here['onnxruntime']}, torch {here['torch']}"
    return Calibration(rates, stream, cache_bytes(), memory_bytes(), here["processor"], threads, versions)


def _rates(dtype: str, threads: int, budget_s: float) -> Iterator[tuple[float, str]]:
    """MACs per second of every shape in both runtimes."""
    if dtype == "float32":
        product = matmul_peak("cpu", threads, dtype, repeats=10**6, budget_s=budget_s)
        yield product.macs_per_s, f"onnxruntime, product of side {product.side}"
        convolution = convolution_peak("cpu", threads, dtype, repeats=10**6, budget_s=4 * budget_s)
        if convolution is not None:
            yield convolution.macs_per_s, f"onnxruntime, 3x3 convolution of {convolution.channels} channels"
    if dtype == "int8":
        product = integer_peak(threads, budget_s)
        yield product.macs_per_s, f"onnxruntime, MatMulInteger of side {product.side}"
    kind = DTYPES[dtype]
    multiply = torch._int_mm if dtype == "int8" else torch.mm
    with torch.inference_mode():
        for side in MATRICES:
            a, b = (100 * torch.rand(2, side, side)).to(kind)
            taken = _fastest(lambda a=a, b=b: multiply(a, b), budget_s)  # type: ignore[misc]
            yield side**3 / taken, f"torch, product of side {side}"
            if taken > budget_s / 4:
                return  # the processor has no unit for the type: what is larger would take minutes
        for channels, side in PICTURES if kind.is_floating_point else ():
            x, w = torch.rand(1, channels, side, side).to(kind), torch.rand(channels, channels, 3, 3).to(kind)
            taken = _fastest(lambda x=x, w=w: conv2d(x, w, padding=1), budget_s)  # type: ignore[misc]
            yield side**2 * channels**2 * 9 / taken, f"torch, 3x3 convolution of {channels} channels"


def _streams(cached_bytes: int, budget_s: float) -> Iterator[tuple[float, str]]:
    """Bytes per second read and written, of arrays that no cache holds."""
    size = min(TIMES_CACHE * cached_bytes, memory_bytes() // 8) // (4 * TIMES_CACHE) * 4 * TIMES_CACHE
    source = torch.ones(TIMES_CACHE, size // 4 // TIMES_CACHE)
    target = torch.zeros_like(source)
    pieces = cycle(zip(source, target, strict=True))  # a piece is cold again when its turn comes
    moved, where = size // TIMES_CACHE, f"of {size // 2**20} MiB, a quarter at a time"

    def copied() -> None:
        piece, place = next(pieces)
        place.copy_(piece)

    yield 2 * moved / _fastest(copied, budget_s), f"torch, copy {where}"
    yield moved / _fastest(lambda: next(pieces)[0].sum(), budget_s), f"torch, sum {where}"


def _fastest(call: Callable[[], object], budget_s: float) -> float:
    """The shortest of as many runs as begin within the budget, after one that is not timed."""
    call()
    started, taken = perf_counter(), [seconds_of(call)]
    while perf_counter() - started < budget_s:
        taken.append(seconds_of(call))
    return min(taken)


def cache_bytes(folder: Path = CACHES) -> int | None:
    """What all caches of the processors hold together, each once; None where the system is silent."""
    found: dict[tuple[str, str], int] = {}
    for cache in folder.glob("cpu[0-9]*/cache/index[0-9]*"):
        try:
            level, kind, size, shared = (
                (cache / name).read_text().strip() for name in ("level", "type", "size", "shared_cpu_list")
            )
        except OSError:
            continue
        if kind != "Instruction" and size.endswith("K"):
            found[level, shared] = int(size[:-1]) * 2**10
    return sum(found.values()) or None


def chip_text(measured: Calibration) -> str:
    """The chip file of this machine."""

    def figure(value: float, source: str, grade: str = "measured", note: str = "") -> str:
        texts = {"source": f"{source}; {measured.versions}", "grade": grade, "note": note}
        pairs = (f"{key} = {json.dumps(text)}" for key, text in texts.items())
        return f"{{ value = {round(value)}, {', '.join(pairs)} }}"

    rates = measured.macs_per_s
    lines = [
        f"title = {json.dumps(f'this machine, {measured.processor}, {measured.cores} cores')}",
        'notes = ["measured by onnxlens calibrate; the fastest of many runs counts"]',
        "[macs_per_s]",
        *(f"{name}x{name} = {figure(*each)}" for name, each in rates.items()),
        "[vector_ops_per_s]",
        "float32 = "
        + figure(
            2 * rates["float32"][0], rates["float32"][1], "calculated", "a multiply-add of the product is two"
        ),
        "[memory.DRAM]",
        'holds = "all"',
        f"size_bytes = {figure(measured.memory_bytes, 'the system')}",
        f"bytes_per_s = {figure(*measured.bytes_per_s)}",
        "[memory.caches]",
        'holds = "nothing"',
        *(
            [f"size_bytes = {figure(measured.cache_bytes, '/sys/devices/system/cpu')}"]
            if measured.cache_bytes
            else []
        ),
        "[not_published]",
        'special_ops_per_s = "not measured"',
        '"memory.caches.bytes_per_s" = "not measured"',
    ]
    return "\n".join(lines) + "\n"
