"""What a reader is: how a tool's report is known, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from onnxlens.errors import UsageError
from onnxlens.profile.vendor.readers.given import Given
from onnxlens.specs.layers import LayerReport


@dataclass(frozen=True, slots=True)
class Reader:
    """How one tool's reports are read.

    Attributes:
        tool: the name by which a user calls it, and that of the tool's table of naming rules.
        doc: what the tool writes, and how it is made to; a line.
        recognizes: whether a file or folder is the tool's, from its head and its names; it never raises.
        read: the report; it raises UsageError with the file and the line of a fault.
        general: it reads the tables of any tool, and so is asked after all others.
        source: the package that brings it.
    """

    tool: str
    doc: str
    recognizes: Callable[[Given], bool]
    read: Callable[[Given], LayerReport]
    general: bool = False
    source: str = "onnxlens"

    def __post_init__(self) -> None:
        if not self.tool or not callable(self.recognizes) or not callable(self.read):
            raise UsageError(f"the reader {self.tool!r} needs a name, and two functions: recognizes and read")
