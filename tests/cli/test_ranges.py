"""Numbers on the command line that nobody means are refused before anything is read or made."""

from __future__ import annotations

import re

import pytest

from tests.cli.calls import onnxlens

NOWHERE = "nowhere.onnx"

CALLS: dict[str, tuple[str, ...]] = {
    "threads": ("bench", NOWHERE, "--threads", "999999999"),
    "no runs": ("bench", NOWHERE, "--runs", "0"),
    "runs": ("bench", NOWHERE, "--runs", "999999999"),
    "warmup": ("bench", NOWHERE, "--warmup", "999999999"),
    "height": ("profile", "hed", "--height", "999999999"),
    "width": ("check", "hed", "--width", "16385"),
    "batch": ("export", "hed", "--out", NOWHERE, "--batch", "4097"),
    "batch of many digits": ("profile", "hed", "--batch", "9" * 40),
    "depth": ("profile", NOWHERE, "--depth", "129"),
    "depth of a ledger": ("ledger", NOWHERE, "--depth", "999999999"),
    "depth of a picture": ("render", NOWHERE, "--out", "x.svg", "--depth", "999999999"),
    "processes": ("run", "--processes", "65"),
    "samples": ("check", NOWHERE, "--layers", "--samples", "1001"),
    "call": ("extract", NOWHERE, "--out", "x.onnx", "--module", "a", "--call", "999999999"),
    "port": ("view", NOWHERE, "--port", "65536"),
    "memory": ("check", NOWHERE, "--layers", "--memory", "9" * 400),
    **{f"tolerance {at}": ("check", NOWHERE, "--tolerance", at) for at in ("nan", "inf", "0", "-1")},
    **{
        f"timeout {at}": ("compile", NOWHERE, "--with", "vela", "--timeout", at)
        for at in ("nan", "inf", "-inf", "0", "-1", "1e300")
    },
    "dim": ("profile", NOWHERE, "--dim", f"n={2**63}"),
    "shape": ("profile", NOWHERE, "--shape", "x=1," + "9" * 5000),
    "value": ("profile", NOWHERE, "--value", f"x={2**63}"),
    "a digit that is none": ("profile", NOWHERE, "--dim", "n=\N{SUPERSCRIPT TWO}"),
}


@pytest.mark.parametrize("case", CALLS)
def test_a_number_out_of_range_is_refused_by_the_arguments_alone(case: str) -> None:
    outcome = onnxlens(*CALLS[case])
    assert (outcome.code, outcome.out) == (2, "")
    line = r"onnxlens: Invalid value for '--[a-z]+': [^\n]{1,200} \(see 'onnxlens [a-z]+ --help'\)\n"
    assert re.fullmatch(line, outcome.err), outcome.err[:500]
