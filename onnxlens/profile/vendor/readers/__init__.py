"""Readers of what other tools report of a model's layers: a function per format, from files to a LayerReport.

Public as ``onnxlens.readers``. docs/readers.md lists the formats, and shows how to register a reader.

``given`` and ``values`` read files so that every fault has its line, a file per tool has its reader, and
``lookup`` joins them, recognizes a report, and takes the readers of others.
"""

from onnxlens.profile.vendor.readers.given import Given, Row
from onnxlens.profile.vendor.readers.lookup import read_report, readers, register
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.specs.layers import METRICS, LayerRecord, LayerReport, Step

__all__ = [
    "METRICS",
    "Given",
    "LayerRecord",
    "LayerReport",
    "Reader",
    "Row",
    "Step",
    "read_report",
    "readers",
    "register",
]
