"""The survey's names for the parts of the UNet and the ControlNet, as files of groups."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> tuple[str, ...]:
    """The graphs that have a file."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def file_of(graph: str) -> Path:
    """The file of groups of a graph."""
    return FOLDER / f"{graph}.toml"
