"""The phases of a language model: prefill and decoding, counted, bounded and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.api.hardware import chips_of
from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.staging import staged_plot
from onnxlens.api.target import Settings, Target
from onnxlens.errors import UsageError
from onnxlens.specs.phases import PhasesReport, PhasesRequest, outweighing_context
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from onnxlens.profile.chip.phases import Counted
    from onnxlens.profile.graph.graph import Graph
    from onnxlens.profile.graph.phase_axes import PhaseAxes, Size
    from onnxlens.specs.chip import Chip


def phases_of(
    target: Target | OpenedTarget,
    settings: Settings | None = None,
    request: PhasesRequest | None = None,
    *,
    hardware: str = "",
    stored_as: str = "",
    has_latency: bool = False,
    progress: Progress = silent,
) -> PhasesReport:
    """What reading a prompt and making one more token costs, by module, at every size that is asked for.

    The file is read once; every further size is evaluated from it.

    Args:
        target: an ``.onnx`` file of a language model with its caches as inputs.
        settings: sizes of dimensions that no phase decides.
        request: prompts, contexts and batches; None for a few common ones.
        hardware: names of chips or paths of chip files, with commas between them: lower bounds on them.
        stored_as: the dtype in which floats are held, such as int8; "" for the file's.
        has_latency: also run every point in ONNX Runtime on the CPU, its caches handed on from step to step.
        progress: shows the steps.

    Raises:
        UsageError: the target has no caches, a size contradicts it, or a chip is not known.
        GraphError: the file is not an ONNX graph, or cannot be run.
    """
    chips = chips_of(hardware) if hardware else {}
    asked = request or PhasesRequest()
    with opened(target, settings, progress) as it:
        report, axes, sizes = _counted(it, asked, chips, stored_as)
        if not has_latency:
            return report
        from onnxlens.api.phase_times import with_times

        return with_times(it, report, axes, sizes, asked.runs)


def _counted(
    it: OpenedTarget, request: PhasesRequest, chips: Mapping[str, Chip], stored_as: str
) -> tuple[PhasesReport, PhaseAxes, Sequence[Size]]:
    from onnxlens.profile.chip.phase_memory import fits_of, sequence_cache_bytes
    from onnxlens.profile.chip.phases import PhaseCounter, parts_of, point_of, rows_of
    from onnxlens.profile.count.ledger import build_ledger
    from onnxlens.profile.graph.caches import find_caches
    from onnxlens.profile.graph.phase_axes import Size, positions_of, read_axes, sizes_of

    plain = it.loaded_file.declared()
    caches = find_caches(plain, request.cache)
    if not caches:
        raise _without_caches(it.path, [tensor.name for tensor in plain.inputs])
    axes = read_axes(plain, caches, it.settings.dims)
    positions = positions_of(plain)
    sizes, notes = sizes_of(axes, request, positions)
    counter = PhaseCounter(partial(_at, it), axes, caches, chips, stored_as)
    counted = []
    for place, size in enumerate(sizes):
        it.progress("counting", place, len(sizes))
        counted.append(counter.counted(size))
    _require_sized(counted[0])
    ledger = build_ledger(counted[0].graph)
    parts = parts_of(counted[0].graph, axes, caches)
    weight_bytes = ledger.totals.resident_weight_bytes
    per_token, fixed = sequence_cache_bytes(counted[-1])
    batches = tuple(dict.fromkeys(size.batch for size in sizes))

    def memory_bytes(batch: int, context: int) -> int:
        step = counter.counted(Size(batch, 1, context), bounded=False)
        return weight_bytes + step.cache_bytes() + step.live_bytes()

    steps = axes.fixed_past is None and per_token and any(size.past for size in sizes)
    fits = tuple(fits_of(chips, batches, memory_bytes, positions)) if steps else ()
    report = PhasesReport(
        graph=ledger.graph,
        source=ledger.source,
        opset=ledger.opset,
        attribution=ledger.attribution,
        params=ledger.totals.params,
        resident_weight_bytes=weight_bytes,
        caches=caches,
        cache_bytes_per_token=per_token,
        cache_fixed_bytes=fixed,
        outweighs={batch: outweighing_context(weight_bytes, fixed, per_token, batch) for batch in batches},
        positions=positions,
        points=tuple(point_of(each, parts, weight_bytes) for each in counted),
        rows=tuple(rows_of(counted, parts)),
        chips={label: chip.title for label, chip in chips.items()},
        fits=fits,
        stored_as=stored_as,
        notes=(*notes, *ledger.notes),
    )
    return report, axes, sizes


def _require_sized(counted: Counted) -> None:
    """Refuse a cache with a dimension that nothing decides."""
    for tensor in counted.held():
        left = [dim for dim in tensor.shape if isinstance(dim, str)]
        if left:
            raise UsageError(
                f"{counted.graph.path.name}: the dimension {left[0]!r} of the cache {tensor.name!r} follows "
                f"from none of the phases; give --dim {left[0]}=SIZE"
            )


def _at(it: OpenedTarget, dims: Mapping[str, int], values: Mapping[str, Sequence[float]]) -> Graph:
    """The graph at these sizes, with these values of inputs."""
    return it.loaded_file.at({}, dims, {**values, **it.settings.values})


def _without_caches(path: Path, inputs: Sequence[str]) -> UsageError:
    return UsageError(
        f"{path}: none of its inputs ({', '.join(inputs) or 'none'}) is a cache of keys and values, so there "
        "are no phases: export the model with its past as inputs, name the caches with --cache PATTERN, or "
        "count it with 'onnxlens profile'"
    )


def write_phases_plot(report: PhasesReport, out: Path | str) -> Path:
    """Plot what a step reads and takes over its context, as svg or png.

    Raises:
        UsageError: another suffix, ``out`` cannot be written, or there are fewer than two contexts.
    """
    from onnxlens.reports.plots.phases import write_phases_plot as write

    return staged_plot(out, partial(write, report))
