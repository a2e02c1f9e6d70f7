"""Tasks that show a graph in Netron: to a person, or as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from onnxlens.api.exporting import as_file, loaded
from onnxlens.api.staging import staged
from onnxlens.api.target import Settings, Target
from onnxlens.errors import UsageError
from onnxlens.specs.progress import Progress, silent


def netron_picture(
    target: Target,
    out: Path | str,
    settings: Settings | None = None,
    *,
    module: str | None = None,
    browser: str | None = None,
    progress: Progress = silent,
) -> Path:
    """Draw a graph or a module of it into ``out`` (.svg or .png) as Netron does, in the system's Chromium.

    The network is not used, and no weight is read.

    Args:
        target: what to draw.
        out: the picture.
        settings: how it is exported, where it is no file.
        module: the path of one to show alone, such as ``input_blocks.1``; None for the whole graph.
        browser: the path of a Chromium; None for the system's.
        progress: told of what is going on.

    Raises:
        UsageError: the target, a setting or ``out`` cannot be used, or the graph is too large for a .png.
        GraphError: the file is no ONNX graph.
        ToolError: a browser or the extra ``netron`` is missing, or Netron cannot draw the graph.
    """
    from onnxlens.reports.netron.pictures import netron_pictures, require_netron, require_netron_suffix

    place = Path(out)
    require_netron_suffix(place)
    require_netron(browser)
    shown = _shown(target, settings, module, progress)
    progress("drawing", 0, 0)
    with staged(place.parent) as stage, netron_pictures(browser) as pictures:
        pictures.write(shown.model, shown.title, stage / place.name)
    return place


@contextmanager
def view_graph(
    target: Target,
    settings: Settings | None = None,
    *,
    module: str | None = None,
    port: int = 0,
    progress: Progress = silent,
) -> Iterator[str]:
    """Serve a graph or a module of it in Netron's page, to this machine's browsers; the address meanwhile.

    Args:
        target: what to show; its weights are not.
        settings: how it is exported, where it is no file.
        module: the path of one to show alone, such as ``input_blocks.1``; None for the whole graph.
        port: 0 for any that is free.
        progress: told of what is going on.

    Raises:
        UsageError: the target, a setting or the port cannot be used.
        GraphError: the file is no ONNX graph.
        ToolError: the extra ``netron`` is missing.
    """
    from onnxlens.reports.netron.server import NetronServer, netron_files

    netron_files()
    shown = _shown(target, settings, module, progress)
    with NetronServer(shown.model, shown.title, port) as server:
        yield server.address


@dataclass(frozen=True, slots=True)
class _Shown:
    model: bytes
    title: str


def _shown(target: Target, settings: Settings | None, module: str | None, progress: Progress) -> _Shown:
    """What Netron is given: the file as it is, an export without weights, or a module cut out of either."""
    from onnxlens.profile.graph.loading.model_file import read_model

    if module is not None:
        return _cut_out(target, settings, module, progress)
    chosen = settings or Settings()
    if chosen.shapes or chosen.dims or chosen.values:
        raise UsageError(
            "Netron shows the whole file as it is; leave --shape, --dim and --value out, or choose a --module"
        )
    with as_file(target, settings, "none", progress) as path:
        read_model(path)  # what it refuses it refuses in a line that helps
        return _Shown(path.read_bytes(), path.name)


def _cut_out(target: Target, settings: Settings | None, module: str, progress: Progress) -> _Shown:
    from onnxlens.profile.subgraph.modules import cut_module

    with loaded(target, settings, progress) as graph:
        cut = cut_module(graph, module)
        return _Shown(cut.model.SerializeToString(), cut.model.graph.name)
