"""Which version of an operator a file means, and which operators its opset does not have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from onnx import defs

from onnxlens.profile.graph.loading.protobuf import FileGraph
from onnxlens.profile.graph.loading.value_types import LEFT_OUT

SHOWN_OPERATORS = 5
"""A note names at most so many."""


@cache
def schema_at(op_type: str, domain: str, version: int) -> defs.OpSchema | None:
    """The operator at that opset, or where it came later, the first that there was; None if ONNX has none."""
    try:
        return defs.get_schema(op_type, version, domain)
    except defs.SchemaError:
        first = _first_versions().get((domain, op_type))
        return None if first is None else defs.get_schema(op_type, first, domain)


@cache
def _first_versions() -> Mapping[tuple[str, str], int]:
    """The opset in which each operator came, by domain and name."""
    first: dict[tuple[str, str], int] = {}
    for schema in defs.get_all_schemas_with_history():
        key = schema.domain, schema.name
        first[key] = min(schema.since_version, first.get(key, schema.since_version))
    return first


def newer_operator_notes(graph: FileGraph, opsets: Mapping[str, int]) -> Iterator[str]:
    """A note for each domain of which the file uses operators that came after the opset it imports."""
    used = {
        (node.domain, node.version or opsets.get(node.domain, 0), node.op_type)
        for inner in graph.all()
        for node in inner.nodes
    }
    newer: dict[tuple[str, int], list[str]] = defaultdict(list)
    for domain, version, op_type in sorted(used):
        schema = schema_at(op_type, domain, version)
        left_out = not domain and op_type in LEFT_OUT
        if schema is not None and schema.since_version > version and not left_out:
            newer[domain, version].append(f"{op_type} (since {schema.since_version})")
    for (domain, version), operators in newer.items():
        yield f"opset {version} of {domain or 'ai.onnx'} does not have {_listed(operators)}: {TAKEN}"


TAKEN = "taken as in the first opset that has it"


def _listed(texts: Sequence[str]) -> str:
    hidden = len(texts) - SHOWN_OPERATORS
    return ", ".join(texts[:SHOWN_OPERATORS]) + (f" and {hidden} more" if hidden > 0 else "")
