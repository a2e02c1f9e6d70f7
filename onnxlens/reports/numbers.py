"""Numbers as a person reads them: thousands kept short, the unit said."""

from __future__ import annotations

from collections.abc import Sequence

from onnxlens.specs.tensor import TensorSpec

DECIMAL_STEPS = ((10**15, "P"), (10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))
BINARY_STEPS = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def short_count(count: int) -> str:
    """``401.64 G`` for 401636720640; a number under a thousand as it is."""
    for step, letter in DECIMAL_STEPS:
        if round(count / step, 5) >= 1:  # so that 999,999 is 1.00 M and not 1000.00 k
            return f"{count / step:.2f} {letter}"
    return str(count)


def short_bytes(count: int) -> str:
    """``3.20 GiB``; a number under 1024 as ``512 B``."""
    for step, unit in BINARY_STEPS:
        if round(count / step, 5) >= 1:
            return f"{count / step:.2f} {unit}"
    return f"{count} B"


def short_time(seconds: float) -> str:
    """``6.35 s``, ``124 ms``, ``12.4 ms``, ``1.2 us``."""
    if seconds >= 0.9995:  # so that it is 1.00 s and not 1000 ms
        return f"{seconds:.2f} s"
    step, unit = (1e-3, "ms") if seconds >= 0.9995e-3 else (1e-6, "us")
    count = seconds / step
    return f"{count:.0f} {unit}" if count >= 100 else f"{count:.1f} {unit}"


def share(part: float, whole: float) -> str:
    """``12.5 %``; ``<0.1 %`` for what would round to nothing; an empty text where there is no whole."""
    if not whole:
        return ""
    percent = 100 * part / whole
    return "<0.1 %" if 0 < percent < 0.05 else f"{percent:.1f} %"


def shapes(tensors: Sequence[TensorSpec], limit: int | None = None) -> str:
    """The tensors' shapes, the first ``limit`` of them; equal ones in a row are counted."""
    texts: list[tuple[str, int]] = []
    for tensor in tensors:
        text = tensor.shape_text()
        if texts and texts[-1][0] == text:
            texts[-1] = (text, texts[-1][1] + 1)
        else:
            texts.append((text, 1))
    shown = [text if times == 1 else f"{times} x {text}" for text, times in texts[:limit]]
    hidden = sum(times for _, times in texts[len(shown) :])
    return ", ".join(shown) + (f", +{hidden} more" if hidden else "")
