"""What options take: pairs of a name and a value, several times or with commas."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from onnxlens.cli.options import with_settings


@pytest.mark.parametrize(
    ("arguments", "name", "expected"),
    [
        (["--dim", "a=1,b=2"], "dims", {"a": 1, "b": 2}),
        (["--dim", "a=1", "--dim", "b=2,c=3"], "dims", {"a": 1, "b": 2, "c": 3}),
        (["--dim", "a,b=3,c=4"], "dims", {"a,b": 3, "c": 4}),
        (["--dim", "a=b=3"], "dims", {"a=b": 3}),
        (["--shape", "x=1,3,64,64,mask=1,77"], "shapes", {"x": (1, 3, 64, 64), "mask": (1, 77)}),
        (["--shape", "x=,y=2"], "shapes", {"x": (), "y": (2,)}),
        (["--value", "k=5,p=0.5,1"], "values", {"k": (5,), "p": (0.5, 1)}),
    ],
)
def test_commas_part_pairs_and_values(arguments: list[str], name: str, expected: dict[str, Any]) -> None:
    seen: dict[str, Any] = {}

    @click.command()
    @with_settings
    def verb(**options: Any) -> None:
        seen.update(options)

    result = CliRunner().invoke(verb, arguments)
    assert result.exit_code == 0, result.output
    assert seen[name] == expected
