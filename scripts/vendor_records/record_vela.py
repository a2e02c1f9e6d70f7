"""Record Vela's blocks and cycles for the layers and networks of ``tflite_nets``, in one CSV a row per layer.

Run by hand in a virtual environment of its own:

    python3.11 -m venv vela && vela/bin/pip install ethos-u-vela==5.2.0
    vela/bin/python scripts/vendor_records/record_vela.py tests/data/vendor/vela-5.2.0.csv
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tflite_nets import Net, beside, layers, networks

SYSTEMS = {"u55": "Ethos_U55_High_End_Embedded", "u65": "Ethos_U65_High_End", "u85": "Ethos_U85_SYS_DRAM_Mid"}
U55 = [f"ethos-u55-{macs}" for macs in (32, 64, 128, 256)]
U85 = [f"ethos-u85-{macs}" for macs in (128, 256, 512, 1024, 2048)]
MATRIX = ("Conv2D", "DepthwiseConv2D", "FullyConnected")
FIELDS = (
    "config", "net", "kind", "input", "output", "kernel", "stride", "dilation", "bits", "traversal",
    "ifm_format", "ofm_format", "ifm_block", "ofm_block", "mac_cycles", "ao_cycles", "cmd_cycles",
    "npu_cycles", "macs",
)  # fmt: skip


def tables(text: str) -> dict[str, list[dict[str, str]]]:
    """The CSV tables inside Vela's debug database."""
    found = {}
    for part in text.split('<table name="')[1:]:
        name, _, rest = part.partition('">')
        body = rest.partition("<![CDATA[")[2].partition("]]>")[0].strip()
        found[name] = list(csv.DictReader(body.splitlines()))
    return found


def record(config: str, name: str, net: Net) -> Iterator[dict[str, object]]:
    """A row for each layer with MACs, and for a pooling where it is all there is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.tflite"
        net.write(path)
        vela = Path(sys.executable).with_name("vela")
        system = SYSTEMS[config.split("-")[1]]
        subprocess.run(
            [
                vela, path, "--accelerator-config", config, "--config", "Arm/vela.ini",
                "--system-config", system, "--memory-mode", "Sram_Only", "--verbose-performance",
                "--enable-debug-db", "--output-dir", folder,
            ],
            check=True, capture_output=True,
        )  # fmt: skip
        found = tables((Path(folder) / f"{name}_debug.xml").read_text())
    blocks = {row["id"]: row for row in found["perf_debug_main"]}
    formats = {row["id"]: row for row in found["perf_debug"]}
    rows = [row for row in found["perf"] if row["operator"] in MATRIX or not net.layers]
    rows = [row for row in rows if row["id"] in blocks and row["operator"] != "MemoryCopy"]
    shapes = net.layers or [("pooling", net.shape[1:], net.tensors[net.at][0][1:], 2, 2, 1)]
    if len(rows) != len(shapes):
        raise SystemExit(f"{config} {name}: {len(rows)} rows for {len(shapes)} layers: {rows}")
    for row, shape in zip(sorted(rows, key=lambda row: int(row["source_id"])), shapes, strict=True):
        block = blocks[row["id"]]
        yield {
            "config": config, "net": name, "bits": net.bits, "traversal": block["traversal"],
            **dict(zip(FIELDS[2:8], map(text, shape), strict=True)),
            **{f"{side}_block": size(block, f"{side}_block") for side in ("ifm", "ofm")},
            **{key: formats[row["id"]][key] for key in ("ifm_format", "ofm_format")},
            **{key: block[key] for key in ("mac_cycles", "ao_cycles", "cmd_cycles")},
            "npu_cycles": row["npu_cycles"], "macs": row["mac_count"],
        }  # fmt: skip


def size(row: dict[str, str], name: str) -> str:
    """A block as HxWxC."""
    return "x".join(row[f"{name}_{axis}"] for axis in "hwc")


def text(value: object) -> str:
    """A shape as HxWxC."""
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def main() -> None:
    """Write the CSV that the command line names."""
    with Path(sys.argv[1]).open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        for config in (*U55, "ethos-u65-256", "ethos-u65-512", *U85):
            for name, net in {**layers(), **networks(), **beside()}.items():
                rows = {tuple(row.values()): row for row in record(config, name, net)}
                writer.writerows(rows.values())  # equal layers of a network once
                print(config, name, file=sys.stderr)


if __name__ == "__main__":
    main()
