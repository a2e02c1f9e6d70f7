"""What ``generate`` prints: the time of every graph, what is left of the whole, and the files."""

from __future__ import annotations

from pathlib import Path

from onnxlens.reports.tables.generate import generated_table
from onnxlens.specs.generate import Generated, Stage

GENERATED = Generated(
    prompt="a fox",
    negative="",
    backend="onnx",
    schedule="batched",
    weights="seeded",
    seeds=(7,),
    scale=9.0,
    eta=0.0,
    guess_mode=False,
    strengths=(1.0,),
    pictures=("picture-1.png",),
    controls=("control-1-canny.png",),
    height=576,
    width=512,
    timesteps=(501, 1),
    stages=(Stage("sd-unet", 2, 2, 3.0, 5.0), Stage("vae-decoder", 1, 1, 0.5, 1.5)),
    opening_s=3.2,
    seconds=11.0,
    peak_memory_bytes=3 * 2**30,
    notes=("a note",),
)


def test_a_table_for_people_adds_up_and_ends_with_the_files() -> None:
    assert generated_table(GENERATED, Path("out"), "table").splitlines() == [
        "graph          batch    calls    opening_s    running_s    s per call",
        "-----------  -------  -------  -----------  -----------  ------------",
        "sd-unet            2        2          3.0          5.0          2.50",
        "vae-decoder        1        1          0.5          1.5          1.50",
        "",
        "576 x 512 pixels, 2 steps, onnx, seeded weights",
        "11.0 s: graphs ran 6.5, were opened 3.2, all else 1.3; at most 3.00 GiB of memory",
        "a note",
        "out/control-1-canny.png",
        "out/picture-1.png",
    ]


def test_csv_has_the_stages_alone() -> None:
    assert generated_table(GENERATED, Path("out"), "csv").splitlines()[1] == "sd-unet,2,2,3.0,5.0,2.5"
