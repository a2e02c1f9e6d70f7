"""Show a graph in Netron: in a browser, or as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.staging import staged
from onnxlens.api.target import Settings, Target
from onnxlens.errors import UsageError
from onnxlens.profile.graph.loading.model_file import read_model
from onnxlens.profile.subgraph.extraction import extract_subgraph
from onnxlens.reports.netron.pictures import netron_pictures, require_netron, require_netron_suffix
from onnxlens.reports.netron.server import NetronServer, netron_files
from onnxlens.specs.progress import Progress, silent


def netron_picture(
    target: Target | OpenedTarget,
    out: Path | str,
    settings: Settings | None = None,
    *,
    module: str | None = None,
    browser: str | None = None,
    progress: Progress = silent,
) -> Path:
    """Draw a graph or a module of it as Netron does, in a Chromium; no weight is read.

    Nothing is sent over the network.

    Args:
        target: what to draw.
        out: the picture, a .svg or .png file.
        settings: how it is exported, unless it is a file.
        module: the path of a module to draw alone, such as ``input_blocks.1``; None for the whole graph.
        browser: the path of a Chromium; None for the system's.
        progress: shows the steps.

    Raises:
        UsageError: the target, a setting or ``out`` cannot be used, or the graph is too large for a .png.
        GraphError: the file is not an ONNX graph.
        ToolError: a browser or the extra ``netron`` is missing, or Netron cannot draw the graph.
    """
    path = Path(out)
    require_netron_suffix(path)
    require_netron(browser)
    model, title = _shown(target, settings, module, progress)
    progress("drawing", 0, 0)
    with staged(path.parent) as stage, netron_pictures(browser) as pictures:
        pictures.write(model, title, stage / path.name)
    return path


@contextmanager
def view_graph(
    target: Target | OpenedTarget,
    settings: Settings | None = None,
    *,
    module: str | None = None,
    port: int = 0,
    progress: Progress = silent,
) -> Iterator[str]:
    """Serve a graph or a module of it in Netron to browsers on this machine; yields the address.

    Args:
        target: what to show, without its weights.
        settings: how it is exported, unless it is a file.
        module: the path of a module to show alone, such as ``input_blocks.1``; None for the whole graph.
        port: 0 for any free port.
        progress: shows the steps.

    Raises:
        UsageError: the target, a setting or the port cannot be used.
        GraphError: the file is not an ONNX graph.
        ToolError: the extra ``netron`` is missing.
    """
    netron_files()
    model, title = _shown(target, settings, module, progress)
    with NetronServer(model, title, port) as server:
        yield server.address


def _shown(
    target: Target | OpenedTarget, settings: Settings | None, module: str | None, progress: Progress
) -> tuple[bytes, str]:
    """The model that Netron opens, and its title: the whole file as it is, or a module extracted from it."""
    with opened(target, settings, progress) as it:
        if module is not None:
            model = extract_subgraph(it.graph, module).model
            return model.SerializeToString(), model.graph.name
        chosen = it.settings
        if chosen.shapes or chosen.dims or chosen.values:
            raise UsageError(
                "Netron shows the whole file as it is; leave --shape, --dim and --value out, "
                "or choose a --module"
            )
        read_model(it.path)  # rejects a file that is not an ONNX graph, with a helpful message
        return it.path.read_bytes(), it.path.name
