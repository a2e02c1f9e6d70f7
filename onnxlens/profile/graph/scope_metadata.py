"""The modules and the PyTorch call that torch's exporter writes into a node's metadata."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from onnx import NodeProto

from onnxlens.specs.bounds import require_levels

SCOPES_KEY = "pkg.torch.onnx.name_scopes"
CLASSES_KEY = "pkg.torch.onnx.class_hierarchy"

PLAIN_LIST = re.compile(r"""\['[^'"\\]*'(?:, '[^'"\\]*')*\]""")
"""A printed list of texts without quotes or escapes: splitting it is evaluating it, and much faster."""


def read_levels(node: NodeProto) -> Sequence[tuple[str, str]]:
    """Names, classes, outermost first: ``('', 'Net'), ('fc', 'torch...Linear')``; then the call itself."""
    if not len(node.metadata_props):
        return ()
    metadata = {entry.key: entry.value for entry in node.metadata_props}
    if SCOPES_KEY not in metadata:
        return ()
    names = _listed(metadata[SCOPES_KEY])
    if not names or names[0] != "":  # a hook of the exporter's own, or a body that lost its module
        return ()
    require_levels(node.name, len(names) - 1)
    classes = _listed(metadata.get(CLASSES_KEY, "[]"))
    if len(classes) != len(names):
        classes = [""] * len(names)
    return tuple(zip(names, classes, strict=True)) if len(names) > 1 else ()


def _listed(text: str) -> list[str]:
    """A printed list of texts; empty where it is something else."""
    if PLAIN_LIST.fullmatch(text):
        return text[2:-2].split("', '")
    try:
        listed = ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):  # the last: nested too deep
        return []
    return listed if isinstance(listed, list) and all(isinstance(item, str) for item in listed) else []


def has_scopes(node: NodeProto) -> bool:
    """Whether the exporter's metadata says which module runs the node."""
    return bool(read_levels(node))


def write_scopes(node: NodeProto, levels: Sequence[tuple[str, str]]) -> None:
    """Write the metadata that the exporter would have: paths and classes, the model first."""
    kept = [entry for entry in node.metadata_props if entry.key not in (SCOPES_KEY, CLASSES_KEY)]
    del node.metadata_props[:]
    node.metadata_props.extend(kept)
    call = (node.name or next(iter(node.output), ""), node.op_type)
    for key, texts in zip((SCOPES_KEY, CLASSES_KEY), zip(*levels, call, strict=True), strict=True):
        node.metadata_props.add(key=key, value=repr(list(texts)))
