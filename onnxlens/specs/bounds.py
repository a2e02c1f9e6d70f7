"""What a file or a command line may ask for: a number must not cost time or memory that its file does not.

Every bound is far above what networks have. What is above one is refused in a line, before any work on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from onnxlens.errors import GraphError
from onnxlens.specs.tensor import Dim

MOST_DIMENSIONS = 64
"""Of one tensor: as many as numpy has."""

MOST_ELEMENTS = 2**63 - 1
"""Of one tensor: as many as an index of 64 bits reaches."""

MOST_ROUNDS = 2**63 - 1
"""Of one node, by the loops around it: so many rounds one loop may have."""

MOST_LEVELS = 128
"""Modules inside each other: every level is a row with a path of its own, so that their square counts."""

MOST_PREFIX = 2**14
"""Characters before the names of a body's values: each of them is given all of these."""

MOST_WRITTEN_NODES = 200_000
"""Nodes that calls of a file's own functions become: if each calls the one before twice, they double."""

MOST_WRITTEN_BYTES = 2**28
"""The same in bytes, beside the file's own: one attribute may be handed to many nodes."""

MOST_CALLS = 64
"""Functions that call each other, one inside the other."""

MOST_BODIES = 32
"""Graphs inside each other: as many as a file can hold, and functions may add to them."""


MOST_BATCH = 4096
MOST_PIXELS = 16384
"""Of a picture's side: sizes that every graph of the catalog is traced at."""

MOST_RUNS = 100_000
"""Of one measurement: each keeps the time of every node."""

MOST_THREADS = 1024
"""Of one operator: more than processors have, and as many as a system starts."""

MOST_PROCESSES = 64
MOST_SAMPLES = 1000


class OutOfBoundsError(GraphError):
    """A file asks for more than is done for one."""


@contextmanager
def in_file(path: Path | str) -> Iterator[None]:
    """Say in which file it is."""
    try:
        yield
    except OutOfBoundsError as error:
        raise GraphError(f"{path}: {error}") from error


def short(name: str) -> str:
    """A name for a message: what is out of bounds may be long itself."""
    return repr(name if len(name) <= 64 else f"{name[:40]}...{name[-20:]}")


def require_shape(name: str, shape: Sequence[Dim] | None) -> None:
    """Refuse a tensor that no machine holds: its elements are multiplied, and every axis is gone through."""
    if shape is None:
        return
    if len(shape) > MOST_DIMENSIONS:
        raise OutOfBoundsError(
            f"the tensor {short(name)} has {len(shape):,} dimensions, and at most "
            f"{MOST_DIMENSIONS} are read; export the model again, or repair the shape"
        )
    elements = 1
    for dim in shape:
        if isinstance(dim, int) and dim < 0:
            raise OutOfBoundsError(f"the tensor {short(name)} has the size {dim}; repair its shape")
        elements *= dim if isinstance(dim, int) else 1
    if elements > MOST_ELEMENTS:
        raise OutOfBoundsError(
            f"the tensor {short(name)} has more than 2**63 - 1 elements, which no machine can hold; "
            "export the model again, or repair the shape"
        )


def require_levels(name: str, levels: int) -> None:
    """Refuse what its name puts too many modules deep."""
    if levels > MOST_LEVELS:
        raise OutOfBoundsError(
            f"{short(name)} is inside {levels:,} modules, and at most {MOST_LEVELS} are read; "
            "give the nodes and weights shorter names"
        )


def require_prefix(prefix: str) -> None:
    """Refuse bodies inside bodies whose names grow too long."""
    if len(prefix) > MOST_PREFIX:
        raise OutOfBoundsError(
            f"the values inside {short(prefix)} have names of more than {MOST_PREFIX:,} characters; give the "
            "nodes with bodies, or their outputs, shorter names"
        )
