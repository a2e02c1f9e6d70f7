"""With which types the bodies of loops run, where these change from round to round."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import MutableMapping

from onnxlens.profile.graph.loading.value_types import ValueType

Types = MutableMapping[str, ValueType]
"""Of the values of a body and of those around and inside it, by unique name."""

Runs = dict[str, list[tuple[Types, int]] | None]
"""By the prefix of a body, the types of its runs and how often it has these; None where that is not known."""


def executed(prefix: str, types: Types, inside: Runs, times: int | None) -> Runs:
    """The runs of a body that runs so often with these types, and those of the bodies inside it."""
    if times is None:
        return {prefix: None, **dict.fromkeys(inside)}
    found: Runs = {prefix: [(types, times)]}
    for inner, runs in inside.items():
        found[inner] = runs and [(ChainMap(own, types), times * often) for own, often in runs]
    return found


def collect(found: Runs, more: Runs) -> None:
    """Add what ran after it."""
    for prefix, runs in more.items():
        known = found.setdefault(prefix, [])
        if known is None or runs is None:
            found[prefix] = None
        else:
            known += runs
