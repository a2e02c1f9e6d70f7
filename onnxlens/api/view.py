"""Show a graph in Netron: in a browser, or as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    """Draw a graph or a module of it into ``out`` (.svg or .png) as Netron does, in the system's Chromium.

    The network is not used, and no weight is read.

    Args:
        target: what to draw.
        out: the picture.
        settings: how it is exported, unless it is a file.
        module: the path of one to show alone, such as ``input_blocks.1``; None for the whole graph.
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
    shown = _shown(target, settings, module, progress)
    progress("drawing", 0, 0)
    with staged(path.parent) as stage, netron_pictures(browser) as pictures:
        pictures.write(shown.model, shown.title, stage / path.name)
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
    """Serve a graph or a module of it in Netron's page, to this machine's browsers; the address meanwhile.

    Args:
        target: what to show; its weights are not.
        settings: how it is exported, unless it is a file.
        module: the path of one to show alone, such as ``input_blocks.1``; None for the whole graph.
        port: 0 for any that is free.
        progress: shows the steps.

    Raises:
        UsageError: the target, a setting or the port cannot be used.
        GraphError: the file is not an ONNX graph.
        ToolError: the extra ``netron`` is missing.
    """
    netron_files()
    shown = _shown(target, settings, module, progress)
    with NetronServer(shown.model, shown.title, port) as server:
        yield server.address


@dataclass(frozen=True, slots=True)
class _Shown:
    model: bytes
    title: str


def _shown(
    target: Target | OpenedTarget, settings: Settings | None, module: str | None, progress: Progress
) -> _Shown:
    """What Netron opens: the file as it is, an export without weights, or a module extracted from either."""
    with opened(target, settings, progress) as it:
        if module is not None:
            model = extract_subgraph(it.graph, module).model
            return _Shown(model.SerializeToString(), model.graph.name)
        chosen = it.settings
        if chosen.shapes or chosen.dims or chosen.values:
            raise UsageError(
                "Netron shows the whole file as it is; leave --shape, --dim and --value out, "
                "or choose a --module"
            )
        read_model(it.path)  # a file that Netron cannot open is refused in a line that helps
        return _Shown(it.path.read_bytes(), it.path.name)
