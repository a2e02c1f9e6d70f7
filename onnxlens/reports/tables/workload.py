"""What was written for a cost model, in lines."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from onnxlens.reports.numbers import counted, share
from onnxlens.specs.workload import Workload


def workload_text(workload: Workload, out: Path) -> str:
    """The files, or their folder where each layer has one; the MACs in them; and what is refused."""
    tops = dict.fromkeys(Path(name).parts[0] for name in (*workload.texts, workload.index))
    lines = [str(out / top) for top in tops]
    covered = share(workload.written_macs, workload.macs)
    layers, nodes = counted(len(workload.layers), "layer"), {layer.node for layer in workload.layers}
    lines.append(
        f"{layers} of {counted(len(nodes), 'node')}: {workload.written_macs:,} of {workload.macs:,} MACs"
        + (f" ({covered})" if covered else "")
    )
    repeated = [layer for layer in workload.layers if layer.times > 1]
    if repeated:
        lines.append(
            f"{counted(len(repeated), 'layer')} run several times, as often as {workload.index} says: "
            "the tool's figures are of one"
        )
    for reason, times in Counter(workload.refused.values()).items():
        first = next(node for node, why in workload.refused.items() if why == reason)
        lines.append(f"refused: {counted(times, 'node')}, the first {first}: {reason}")
    return "\n".join(lines)
