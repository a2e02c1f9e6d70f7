"""Record SCALE-Sim's compute cycles for the layers of ``conv_layers`` on its 32 x 32 array, all dataflows.

Run by hand in a virtual environment of its own:

    python3.11 -m venv sim && sim/bin/pip install scalesim==3.0.0 "numpy<2"
    sim/bin/python scripts/vendor_records/record_scalesim.py tests/data/vendor/scalesim-3.0.0.csv
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

from conv_layers import LAYERS, input_side

CONFIG = """[general]
run_name = run

[architecture_presets]
ArrayHeight: 32
ArrayWidth: 32
IfmapSramSzkB: 4096
FilterSramSzkB: 4096
OfmapSramSzkB: 4096
IfmapOffset: 0
FilterOffset: 10000000
OfmapOffset: 20000000
Bandwidth: 10
Dataflow: {dataflow}
MemoryBanks: 1
ReadRequestBuffer: 32
WriteRequestBuffer: 32

[layout]
IfmapCustomLayout: False
IfmapSRAMBankBandwidth: 10
IfmapSRAMBankNum: 10
IfmapSRAMBankPort: 2
FilterCustomLayout: False
FilterSRAMBankBandwidth: 10
FilterSRAMBankNum: 10
FilterSRAMBankPort: 2

[sparsity]
SparsitySupport: false
SparseRep: ellpack_block
OptimizedMapping: false
BlockSize: 8
RandomNumberGeneratorSeed: 40

[run_presets]
InterfaceBandwidth: CALC
UseRamulatorTrace: False
"""


def main() -> None:
    """Write the CSV that the command line names."""
    lines = [
        "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides, "
    ]
    layout = ["Layer name," + " x," * 24]
    for name, (inner, outer, kernel, side, stride) in LAYERS.items():
        given = input_side(kernel, side, stride)
        lines.append(f"{name}, {given}, {given}, {kernel}, {kernel}, {inner}, {outer}, {stride}, ")
        layout.append(f"{name}," + " 1," * 24)
    with Path(sys.argv[1]).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("dataflow", "layer", "compute_cycles", "stall_cycles"))
        for dataflow in ("ws", "os", "is"):
            with tempfile.TemporaryDirectory() as folder:
                Path(f"{folder}/c.cfg").write_text(CONFIG.format(dataflow=dataflow))
                Path(f"{folder}/t.csv").write_text("\n".join(lines) + "\n")
                Path(f"{folder}/l.csv").write_text("\n".join(layout) + "\n")
                command = [
                    sys.executable,
                    "-m",
                    "scalesim.scale",
                    "-c",
                    f"{folder}/c.cfg",
                    "-t",
                    f"{folder}/t.csv",
                ]
                subprocess.run(
                    [*command, "-l", f"{folder}/l.csv", "-p", folder, "-s", "N"],
                    check=True,
                    capture_output=True,
                )
                (report,) = Path(folder).rglob("COMPUTE_REPORT.csv")
                for row in csv.DictReader(report.read_text().splitlines(), skipinitialspace=True):
                    name = list(LAYERS)[int(row["LayerID"])]
                    cycles, stalls = (round(float(row[key])) for key in ("Total Cycles", "Stall Cycles"))
                    writer.writerow((dataflow, name, cycles - stalls, stalls))


if __name__ == "__main__":
    main()
