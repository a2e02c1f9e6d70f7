"""How tools write the names of what they compiled: rules that are data, one table per tool in ``naming/``.

A table says what the tool's names name, what the tool puts around them, and which operators of ours its own
stand for. docs/vendors.md has the grammar.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from onnxlens.errors import GraphError

NAMING = Path(__file__).parent / "naming"

GENERAL = "plain"
"""The table for a tool that has none."""

Named = Literal["node", "tensor", "tensor_operator", "module", "scope"]
"""A node; a tensor; a tensor and the operator that makes it; all of a module; the module that an operator
runs in."""

MOST_FORMS = 64
"""A name is rewritten to so many others at most, whatever it is."""

Order = Literal["execution", "from_outputs"]


@dataclass(frozen=True, slots=True)
class Naming:
    """The rules of one tool.

    Attributes:
        doc: what they are taken from.
        names: what its names may name, the surest first.
        like: the table whose ``strip`` it has too, for what that tool did to the names before.
        split: what stands between several names.
        unwrap: what a name stands in, as the group ``name``.
        strip: what the tool puts before or behind a name; what is the group ``name`` in it stays.
        reads: a name made of that of the node whose output it reads, the group ``name``.
        inputs, outputs: one of the model's inputs or outputs by its number, the group ``number``, from 0.
        spans: all nodes between two, the groups ``first`` and ``last``.
        numbered: whether it puts ``_`` and a number behind a name that it uses again.
        flat: whether it writes ``_`` for all but letters and digits.
        own_names: whether the tool names much anew, so that a name that leads nowhere says nothing.
        joined: whether names may stand one behind another with nothing between them.
        serving: operators that bring or convert what the last named node reads, and compute none.
        precedes, follows: operators that the tool inserts right before or behind the layer that they serve.
        fused_zero: whether a layer without figures has them in the layer that it was fused into.
        order: of the layers: that of execution, or from the outputs back, depth first.
        operators: what its operators are of ours, by operator or by family.
    """

    doc: str
    names: tuple[Named, ...]
    like: str = ""
    split: re.Pattern[str] | None = None
    unwrap: tuple[re.Pattern[str], ...] = ()
    strip: tuple[re.Pattern[str], ...] = ()
    reads: tuple[re.Pattern[str], ...] = ()
    inputs: re.Pattern[str] | None = None
    outputs: re.Pattern[str] | None = None
    spans: tuple[re.Pattern[str], ...] = ()
    numbered: bool = False
    flat: bool = False
    own_names: bool = False
    joined: bool = False
    serving: re.Pattern[str] | None = None
    precedes: re.Pattern[str] | None = None
    follows: re.Pattern[str] | None = None
    fused_zero: bool = False
    order: Order = "execution"
    operators: tuple[tuple[re.Pattern[str], frozenset[str]], ...] = ()

    def pieces(self, name: str) -> list[str]:
        """The names in a name, in their order."""
        parts = [part.strip() for part in self.split.split(name)] if self.split else [name]
        return [self._unwrapped(part) for part in parts if part]

    def _unwrapped(self, name: str) -> str:
        found = (pattern.fullmatch(name) for pattern in self.unwrap)
        return next((match["name"] for match in found if match), name)

    def forms(self, name: str) -> Iterator[str]:
        """The names that a name may be made of, the nearest first: itself, then with less around it."""
        seen = {name: None}
        queue = [name]
        for form in queue:
            yield form
            for pattern in self.strip:
                match = pattern.search(form)
                shorter = form if match is None else _without(form, match)
                if shorter and shorter not in seen and len(seen) < MOST_FORMS:
                    seen[shorter] = None
                    queue.append(shorter)

    def serves(self, op_type: str) -> bool:
        """Whether a layer of this operator computes nothing of its own."""
        return self.serving is not None and self.serving.fullmatch(op_type) is not None

    def operators_of(self, op_type: str) -> frozenset[str] | None:
        """Our operators and families that one of the tool's may be; None if the table does not say."""
        found = (ours for pattern, ours in self.operators if op_type and pattern.fullmatch(op_type))
        return next(found, None)


def _without(name: str, match: re.Match[str]) -> str:
    """A name without what a rule found in it, of which the group ``name`` stays."""
    return name[: match.start()] + (match.groupdict().get("name") or "") + name[match.end() :]


@cache
def naming_of(tool: str) -> Naming:
    """The rules for a tool's names; those of ``plain`` for a tool without a table."""
    own = (path for path in NAMING.glob("*.toml") if path.stem == tool)
    path = next(own, NAMING / f"{GENERAL}.toml")
    return _naming(path.name, tomllib.loads(path.read_text(encoding="utf-8")))


def _naming(where: str, table: Mapping[str, Any]) -> Naming:
    """A table as it stands in a file.

    Raises:
        GraphError: it has a key or a kind of name that there is not.
    """
    known = {each.name for each in fields(Naming)}
    wrong = [*(table.keys() - known), *(set(table.get("names", ())) - set(get_args(Named)))]
    if wrong or "names" not in table or "doc" not in table:
        raise GraphError(f"{where}: {wrong or 'doc and names'}: expected {', '.join(sorted(known))}")
    given = dict(table)
    for key in ("unwrap", "strip", "reads", "spans"):
        given[key] = tuple(map(re.compile, given.get(key, ())))
    for key in ("split", "serving", "precedes", "follows", "inputs", "outputs"):
        given[key] = re.compile(given[key]) if key in given else None
    if "like" in given:
        given["strip"] += naming_of(given["like"]).strip
    given["names"] = tuple(given["names"])
    operators = given.get("operators", {}).items()
    given["operators"] = tuple((re.compile(theirs), frozenset(ours)) for theirs, ours in operators)
    return Naming(**given)
