"""The reader of a report: one of ours, or a user's, registered by a program or by an installed package."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType

from onnxlens.errors import OnnxlensError, UsageError
from onnxlens.profile.count.rules.lookup import call_entry_points
from onnxlens.profile.vendor.readers import (
    core_ml,
    executorch,
    nncase,
    onnxruntime,
    openvino,
    plain,
    qnn,
    rknn,
    scalesim,
    tensorrt,
    tpu_mlir,
    tt_perf,
    vela,
    zigzag,
)
from onnxlens.profile.vendor.readers.given import Given
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.values import refuse
from onnxlens.specs.layers import LayerReport

FORMATS: Sequence[ModuleType] = (
    tensorrt, openvino, onnxruntime, qnn, core_ml, executorch, tt_perf,
    vela, nncase, rknn, tpu_mlir, zigzag, scalesim, plain,
)  # fmt: skip
"""The modules of formats; each has a table ``READERS``."""

READERS: Mapping[str, Reader] = {each.tool: each for module in FORMATS for each in module.READERS}

ENTRY_POINTS = "onnxlens.readers"
"""The group in which an installed package names a function that registers its readers."""

_registered: dict[str, Reader] = {}


def register(reader: Reader, *, replace: bool = False) -> None:
    """Read reports with ``reader`` too, from now on and in this process.

    Raises:
        UsageError: its tool has a reader and ``replace`` is not set, or it is not a Reader.
    """
    _checked(reader, _function_name(reader))
    if not replace and (reader.tool in READERS or reader.tool in _registered):
        _refuse_second(reader.tool, _function_name(reader))
    _registered[reader.tool] = reader


def readers() -> Mapping[str, Reader]:
    """Every reader by its tool: ours, those of installed packages, and what this process registered."""
    return {**READERS, **_installed()[0], **_registered}


def read_report(
    path: Path | str, tool: str = "", names: Path | str | None = None, chip: str = ""
) -> LayerReport:
    """What a tool reports of each layer of a model.

    Args:
        path: the file or folder that it wrote, or a folder with one such folder in it.
        tool: whose it is; without it, the format is recognized.
        names: what the names in the report mean, where that stands in a second file.
        chip: what it ran on or was compiled for, where the report does not say it.

    Raises:
        UsageError: it cannot be read, or is not the tool's; the message has the file and the line.
    """
    given = Given(Path(path), None if names is None else Path(names))
    asked = [_named(tool)] if tool else [reader for reader in readers().values() if not reader.general]
    given = _inside(given, asked)
    reader = asked[0] if tool else _recognized(given)
    given = _only_file(given, reader)
    _warn_of_faults()
    try:
        report = reader.read(given)
    except OnnxlensError:
        raise
    except Exception as cause:
        raise UsageError(
            f"{path}: not a report of {reader.tool} that can be read ({type(cause).__name__}: {cause}); "
            f"expected {reader.doc}"
        ) from cause
    if not isinstance(report, LayerReport):
        raise UsageError(
            f"the reader {reader.tool} from {reader.source} returned {report!r}; expected a LayerReport"
        )
    if not given.names_read:
        refuse(str(names), f"reports of {reader.tool} have no second file", "leave it out")
    if not report.records and not report.refused:
        refuse(path, f"no layer of {reader.tool} in it", f"expected {reader.doc}")
    return replace(report, chip=chip) if chip else report


def _named(tool: str) -> Reader:
    known = readers()
    if tool not in known:
        _refuse_if_faulty()
        raise UsageError(f"no reader is called {tool!r}; give one of {', '.join(sorted(known))}")
    return known[tool]


def _inside(given: Given, asked: Sequence[Reader]) -> Given:
    """The only folder in a folder that has a report, where it has none itself."""
    if not given.path.is_dir() or _takers(given, asked):
        return given
    folders = sorted(each for each in given.path.iterdir() if each.is_dir())
    found = [folder for folder in folders if _takers(Given(folder), asked)]
    if len(found) > 1:
        names = ", ".join(folder.name for folder in found[:4])
        refuse(given.path, f"reports are in {len(found)} folders of it ({names})", "give one of them")
    return given.within(found[0]) if found else given


def _only_file(given: Given, reader: Reader) -> Given:
    """The only file in a folder that is the reader's, whatever else is there, or all of the folder."""
    if not given.path.is_dir() or reader.recognizes(given):
        return given
    own = [path for path in given.files if reader.recognizes(Given(path))]
    return given.within(own[0]) if len(own) == 1 else given


def _takers(given: Given, asked: Sequence[Reader]) -> Sequence[Reader]:
    """The readers that take it for their own, or else a file in the folder."""
    found = [reader for reader in asked if reader.recognizes(given)]
    if found or not given.path.is_dir():
        return found
    files = [Given(path) for path in given.files]
    return [reader for reader in asked if any(map(reader.recognizes, files))]


def _recognized(given: Given) -> Reader:
    """The only reader that takes it, or a file in the folder, for its own; one for any table is last."""
    known = readers()
    found = _takers(given, [reader for reader in known.values() if not reader.general])
    found = found or [reader for reader in known.values() if reader.general and reader.recognizes(given)]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(reader.tool for reader in found)
        refuse(given.path, f"it may be a report of {names}", "name the tool")
    given.text() if given.path.is_file() else None  # says what is wrong with a file that is no text
    _refuse_if_faulty()
    refuse(
        given.path,
        f"the report of no tool that is known ({', '.join(sorted(known))})",
        "name the tool, or give a CSV file with the columns name and time",
    )


@cache
def _installed() -> tuple[Mapping[str, Reader], Mapping[str, UsageError]]:
    """The readers of installed packages, and those packages that fail, which bring none."""
    found: dict[str, Reader] = {}
    faults = call_entry_points(ENTRY_POINTS, lambda package: _adder(package, found))
    return {tool: reader for tool, reader in found.items() if reader.source not in faults}, faults


def _refuse_if_faulty() -> None:
    """A reader that nobody has may be that of a package which fails."""
    for fault in _installed()[1].values():
        raise fault


@cache
def _warn_of_faults() -> None:
    for fault in _installed()[1].values():
        logging.getLogger(__name__).warning("onnxlens: %s", fault)


def _adder(package: str, found: dict[str, Reader]) -> Callable[[Reader], None]:
    """What an entry point calls to register a reader: ``register`` without ``replace``."""

    def add(reader: Reader) -> None:
        _checked(reader, package)
        if reader.tool in READERS or reader.tool in found:
            _refuse_second(reader.tool, package)
        found[reader.tool] = replace(reader, source=package)

    return add


def _checked(reader: object, source: str) -> None:
    if not isinstance(reader, Reader):
        raise UsageError(f"{reader!r} from {source} is no reader; expected an onnxlens.readers.Reader")


def _refuse_second(tool: str, source: str) -> None:
    raise UsageError(
        f"the reader {tool} from {source} would replace another; "
        "onnxlens.readers.register(..., replace=True) does so"
    )


def _function_name(reader: object) -> str:
    return str(getattr(getattr(reader, "read", None), "__module__", None) or reader)
