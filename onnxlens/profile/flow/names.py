"""One path for several equal modules: ``layers.0`` and ``layers.1`` are ``layers.0..1``."""

from __future__ import annotations

import re
from collections.abc import Sequence

NUMBER = re.compile(r"(\d+)")
LISTED = 3
"""So many numbers that do not follow each other are listed; of more the first and the last are named."""


def joint_path(paths: Sequence[str]) -> str | None:
    """The paths as one, when at most one number in them differs and it rises evenly; else None.

    ``layers.0``, ``layers.1``, ``layers.2`` are ``layers.0..2``; ``features.3``, ``features.5`` are
    ``features.3,5``; four or more such are ``features.3,5..9``.
    """
    if len(set(paths)) == 1:
        return paths[0]
    split = [NUMBER.split(path) for path in paths]
    if len({len(parts) for parts in split}) > 1:
        return None
    columns = list(zip(*split, strict=True))
    differing = [place for place, column in enumerate(columns) if len(set(column)) > 1]
    if len(differing) != 1 or not columns[differing[0]][0].isdecimal():
        return None
    numbers = [int(number) for number in columns[differing[0]]]
    step = numbers[1] - numbers[0]
    if step < 1 or any(after - before != step for before, after in zip(numbers, numbers[1:], strict=False)):
        return None
    joint = list(split[0])
    joint[differing[0]] = _joint_number(numbers, step)
    return "".join(joint)


def _joint_number(numbers: Sequence[int], step: int) -> str:
    if step == 1:
        return f"{numbers[0]}..{numbers[-1]}"
    if len(numbers) <= LISTED:
        return ",".join(map(str, numbers))
    return f"{numbers[0]},{numbers[1]}..{numbers[-1]}"
