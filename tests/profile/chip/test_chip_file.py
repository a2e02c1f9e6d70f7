"""Chip files: every figure has a unit, a source and a grade; peaks agree; bad files are refused."""

from __future__ import annotations

from fractions import Fraction
from math import isclose
from pathlib import Path

import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.chip.chip_file import CHIPS, chip_names, load_chip, read_chips
from onnxlens.specs.chip import GRADES

FULL = """
title = "Acme NPU"
cores = 2
clock_hz = { value = 1_000_000_000, source = "sheet", grade = "vendor" }
[sources]
sheet = "Acme data sheet 1.0"
[macs_per_cycle]
int8xint8 = { value = 100, source = "sheet", grade = "vendor" }
[memory.DRAM]
holds = "all"
bytes_per_s = { value = 1_000_000_000, source = "sheet", grade = "quoted" }
[not_published]
"macs_per_s.float16xfloat16" = "it has none"
"""


def own(tmp_path: Path, text: str = FULL) -> str:
    file = tmp_path / "acme.toml"
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize("name", chip_names())
def test_every_figure_of_a_chip_has_a_unit_a_source_and_a_grade(name: str) -> None:
    chip = load_chip(name)
    for variant in (chip, *(load_chip(f"{name}@{system}") for system in chip.systems)):
        figures = dict(variant.figures())
        assert figures, name
        for key, figure in figures.items():
            unit = key.split(".")[0] if not key.startswith("memory.") else key.rpartition(".")[2]
            assert unit.endswith(("_hz", "_w", "_bytes", "_per_s", "_per_cycle")), key
            assert len(figure.source) > 10 or figure.source in ("log", "code"), f"{key}: {figure.source}"
            assert figure.grade in GRADES
        assert all(rule.source and rule.grade for rule in variant.array)


DISAGREE = {"rk3576", "rv1106"}
"""The claimed peak is not what array and clock give; facts of the chips, told in their notes."""


@pytest.mark.parametrize("name", chip_names())
def test_published_peaks_are_cycles_times_cores_times_clock_or_the_notes_tell(name: str) -> None:
    chip = load_chip(name)
    clock = Fraction(chip.clock_hz.value) if chip.clock_hz else None
    quotients = [
        Fraction(rate.value) / (Fraction(chip.macs_per_cycle[operands].value) * chip.cores * clock)
        for operands, rate in chip.macs_per_s.items()
        if clock and operands in chip.macs_per_cycle
    ]
    assert any(abs(found - 1) > 0.03 for found in quotients) == (name in DISAGREE)
    if name in DISAGREE:
        assert any("claim" in note for note in chip.notes)


def test_known_peaks() -> None:
    # 24 x 32 MACs per cycle at 800 MHz
    assert load_chip("k230").peak("int8xint8").value == 768 * 800_000_000
    # 1,024 MACs at Arm's example clock of 1 GHz, and at another of its systems
    assert load_chip("ethos-u85-1024").peak("int8xint8").value == 1024 * 10**9
    assert load_chip("ethos-u85-1024@SYS_DRAM_Low").peak("int8xint8").value == 1024 * 5 * 10**8
    # two cores of 256
    assert load_chip("ethos-u65-512").peak("int8xint8").value == 2 * 256 * 10**9
    # 12 K MACs per cycle; 48 TOPS need 1.95 GHz, the cost model has 1.7
    npu = load_chip("intel-npu-4000")
    assert isclose(npu.peaks["int8xint8"].value, 6 * 2048 * 1.95e9, rel_tol=2e-3)
    assert load_chip("intel-npu-4000@cost-model").peak("int8xint8").value == 6 * 2048 * 1.7e9
    # 4,096 TOPS per column and GHz, 8 columns at 1.8 GHz
    assert load_chip("xdna2").peak("int8xint8").value * 2 == 4096 * 8 * 1.8e9
    # a dense peak is half of the sparse 989 TFLOP/s, and a MAC is two of these
    assert load_chip("h200").peak("float16xfloat16").value == 989.5e12 / 2


def test_the_index_names_what_the_files_hold() -> None:
    assert set(chip_names()) == {name for file in CHIPS.glob("*.toml") for name in read_chips(file)}


def test_a_product_of_float32_may_run_as_tf32() -> None:
    assert load_chip("a100").peak("float32xfloat32").value == 78 * 10**12
    assert load_chip("a100").peak("int4xfloat16").value == 156 * 10**12


def test_asking_for_what_is_not_published_is_an_error_that_says_so() -> None:
    with pytest.raises(UsageError, match="k230: no peak is published for int8xint16.*16-bit products"):
        load_chip("k230").peak("int8xint16")
    with pytest.raises(UsageError, match="no clock is published.*counts cycles"):
        load_chip("zigzag-tpu-like").peak("int8xint8")


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    chip = load_chip(own(tmp_path))
    assert (chip.name, chip.peak("int8xint8").value) == ("acme", 2 * 100 * 10**9)
    assert chip.memories[0].bytes_per_s is not None and chip.memories[0].bytes_per_s.grade == "quoted"
    assert "Acme data sheet 1.0" in chip.peak("int8xint8").source
    with pytest.raises(UsageError, match="float16xfloat16 .*: it has none"):
        chip.peak("float16xfloat16")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            'grade = "quoted"',
            'grade = "rumour"',
            "memory.DRAM.bytes_per_s.grade is 'rumour'; expected one of vendor",
        ),
        (
            'source = "sheet", grade = "quoted"',
            'grade = "quoted"',
            "bytes_per_s.source is None; expected where",
        ),
        ("value = 100", "value = 0", "int8xint8.value is 0; expected a number above 0"),
        ("value = 100", 'value = "100"', "int8xint8.value is '100'; expected a number"),
        ("value = 100", "value = nan", "expected a number above 0"),
        ("int8xint8", "int8", "a key of macs_per_cycle is 'int8'; expected dtypes such as int8xint8"),
        ("int8xint8", "int9xint8", "a key of macs_per_cycle is 'int9xint8'"),
        ('holds = "all"', "", "memory.DRAM.holds is None; expected one of all, weights"),
        ("cores = 2", "cores = 0", "cores is 0; expected a whole number above 0"),
        ("cores", "coers", "there is no key 'coers'; did you mean cores"),
        ("[not_published]", "[not_published", "is not TOML"),
        ('title = "Acme NPU"', "title = 3", "title is 3; expected vendor and product"),
        ("clock_hz = {", "clock_hz = 5 #{", "clock_hz is 5; expected a figure, such as"),
        ("cores = 2", "cores = true", "cores is True; expected a whole number above 0"),
        ("cores = 2", "notes = 5", "notes is 5; expected a list of texts"),
        ("cores = 2", "notes = [5]", "notes is [5]; expected a list of texts"),
        ('sheet = "Acme data sheet 1.0"', "sheet = 5", "sources.sheet is 5; expected a text in quotes"),
        ('grade = "quoted"', 'grade = "quoted", note = 5', "bytes_per_s.note is 5; expected a text"),
        ("[memory.DRAM]", "[array]\nfit = 5\n[memory.DRAM]", "array.fit is 5; expected tables, each headed"),
        (
            "[memory.DRAM]",
            '[memory.flash]\nholds = "weights"\n[memory.DRAM]',
            "memory.flash holds weights and memory.DRAM holds all, and a tensor has one home",
        ),
    ],
)
def test_a_bad_file_is_refused_in_a_line(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in FULL
    with pytest.raises(UsageError) as refused:
        load_chip(own(tmp_path, FULL.replace(before, after, 1)))
    assert message in str(refused.value) and "acme.toml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_of_several_chips_needs_a_name(tmp_path: Path) -> None:
    several = FULL + "[chips.small]\n[chips.large]\ncores = 4\n"
    with pytest.raises(UsageError, match="acme.toml:NAME with one of small, large"):
        load_chip(own(tmp_path, several))
    assert load_chip(f"{tmp_path}/acme.toml:large").cores == 4
    with pytest.raises(UsageError, match="no chip 'h20'; did you mean h200"):
        load_chip("h20")
    with pytest.raises(UsageError, match="k230: there is no system 'x'; there is datasheet, compiler-model"):
        load_chip("k230@x")


RULE = """
[[array.fit]]
layers = ["convolution"]
operands = ["int8xint8"]
macs_per_cycle = 100
steps = { input_channels = 10, output_channels = 10 }
source = "sheet"
grade = "vendor"
"""


def test_rules_of_the_array_are_checked(tmp_path: Path) -> None:
    assert load_chip(own(tmp_path, FULL + RULE)).array[0].source == "Acme data sheet 1.0"
    for before, after, message in (
        ("output_channels", "columns", "'columns' is not a dimension"),
        ('grade = "vendor"', "", r"array.fit\[0\].grade is None; expected one of vendor"),
        ('source = "sheet"', "source = [1]", "source is .1.; expected where it is published"),
        ("macs_per_cycle = 100", "", "macs_per_cycle is None; expected a whole number"),
        ("macs_per_cycle = 100", "macs_per_cycle = 99", "100 MACs in 1 cycles are more than the 99 of each"),
        ("macs_per_cycle = 100", "macs_per_cycle = 100.5", "macs_per_cycle is 100.5; expected a whole"),
        ('["int8xint8"]', '["int8"]', r"operands is \['int8'\]; expected a list such as"),
        ("input_channels = 10", 'input_channels = "10"', "steps is .* expected a table such as"),
        ("source", "outputs_per_cycle = inf\nsource", "outputs_per_cycle is inf; expected a number above 0"),
        ("source", "whole_outputs = 1\nsource", "whole_outputs is 1; expected true or false"),
        ("source", 'fill_cycles = "x"\nsource', "fill_cycles is 'x'; expected a whole number, 0 or more"),
        ("source", "weight_cycles_per_step = -1\nsource", "weight_cycles_per_step is -1; expected"),
        ("layers", "layer", "there is no key 'layer'"),
    ):
        with pytest.raises(UsageError, match=message):
            load_chip(own(tmp_path, FULL + RULE.replace(before, after, 1)))


@pytest.mark.parametrize(("name", "cores"), [("h200", 132), ("h100", 132), ("a100", 108)])
def test_registers_are_on_the_chip_too(name: str, cores: int) -> None:
    found = {each.name: each for each in load_chip(name).memories}
    sizes = [each.size_bytes.value for each in found.values() if each.size_bytes and each.holds == "nothing"]
    assert found["registers"].size_bytes is not None
    assert found["registers"].size_bytes.value == cores * 65_536 * 4  # registers of 32 bits
    assert load_chip(name).buffered_bytes == sum(sizes)
