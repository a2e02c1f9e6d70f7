"""An ONNX file as a tool wants it: its weights inside, another producer, only the operators that it takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.api.opened import OpenedTarget
from onnxlens.api.staging import staged
from onnxlens.api.target import Settings, Target, file_of, is_file
from onnxlens.errors import UsageError
from onnxlens.specs.codec import to_text
from onnxlens.specs.manifest import data_path_of, manifest_path_of
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    import onnx

    from onnxlens.profile.graph.graph import Graph


@dataclass(frozen=True, slots=True)
class FileForm:
    """What a file is to be like.

    Attributes:
        single: its weights are in the file itself, which a protobuf's 2 GiB limit.
        producer: the name that it says it is produced by; "" for ours, or that of the file.
        dialect: the tool whose operators it has; "" for ONNX's.
    """

    single: bool = False
    producer: str = ""
    dialect: str = ""


@dataclass(frozen=True, slots=True)
class FormedFile:
    """What was written.

    Attributes:
        files: the graph first.
        replaced: how many nodes were written in others.
        left: why the dialect's tool will refuse the file, one line for each operator.
    """

    files: tuple[Path, ...]
    replaced: int = 0
    left: Sequence[str] = ()


def export_form(
    target: Target,
    out: Path | str,
    form: FileForm,
    settings: Settings | None = None,
    progress: Progress = silent,
) -> FormedFile:
    """Write a graph into ``out`` as a tool wants it: ``NAME.onnx``, and a manifest if it has one.

    Args:
        target: a graph of the catalog, a factory, or an ``.onnx`` file, whose weights go into the new one
            unless that would be too large.
        out: a folder, which is not that of the file.
        form: what the file is to be like.
        settings: how it is exported; of a file the sizes of its inputs.
        progress: shows the steps.

    Raises:
        UsageError: a setting cannot be used, there is no such dialect, or one file would be too large.
        CheckpointError: the weights cannot be read.
    """
    folder, chosen = Path(out), settings or Settings()
    if is_file(target) and file_of(target).resolve().parent == folder.resolve():
        raise UsageError(f"{out}: is the folder of {target}; choose another --out")
    if form.single and chosen.weights == "none":
        raise UsageError(f"{target}: without weights there is nothing to put into a single file")
    if form.dialect:
        from onnxlens.export.dialects.lookup import dialect_named

        dialect_named(form.dialect)  # refuse a wrong one before any work
    with staged(folder) as stage:
        place = None if form.single else stage
        with OpenedTarget(target, chosen, progress, folder=place) as it:
            change = Dialected(it.graph, form.dialect) if form.dialect else None
            source = it.runnable_path
            progress("writing", 0, 0)
            path = _written(it, form, stage / source.name, change)
        names = sorted(file.name for file in stage.iterdir() if file != path)
    files = tuple(folder / name for name in (path.name, *names))
    return FormedFile(files, change.replaced, change.left) if change else FormedFile(files)


def _written(it: OpenedTarget, form: FileForm, path: Path, change: Dialected | None) -> Path:
    from onnxlens.export.exported import data_digest
    from onnxlens.profile.subgraph.one_file import prepared, write_one_file
    from onnxlens.profile.subgraph.weight_files import from_folder, write_with_weights

    source, manifest = it.runnable_path, it.manifest if it.is_file else it.runnable.manifest
    if form.single:
        write_one_file(source, it.graph, path, form.producer, change)
    else:
        model = prepared(source, it.graph, form.producer, change)
        if it.is_file:
            write_with_weights(model, path, data_path_of(path), from_folder(source.parent))
        else:
            path.write_bytes(model.SerializeToString())
    if manifest is not None:
        held = replace(manifest, data_digest=data_digest(path))
        manifest_path_of(path).write_text(to_text(held), encoding="utf-8")
    return path


class Dialected:
    """Writes a model in the operators of a dialect, and keeps what became of it.

    Attributes:
        replaced: how many nodes were written in others.
        unknown: the operator of each node that the tool does not take, by the node's name.
        sources: for each node of the model, the name of the node of the graph that it is a part of; also
            for each tensor that the graph does not have.
    """

    def __init__(self, graph: Graph, name: str) -> None:
        """Nothing is written yet.

        Raises:
            UsageError: there is no such dialect.
        """
        from onnxlens.export.dialects.lookup import dialect_named

        self._graph, self._dialect = graph, dialect_named(name)
        self.replaced = 0
        self.unknown: Mapping[str, str] = {}
        self.sources: Mapping[str, str] = {}

    def __call__(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """The model in the dialect; its nodes say to which modules they belong, as the graph knows it."""
        import onnx_ir as ir

        from onnxlens.export.dialects.dialect import rewrite
        from onnxlens.export.dialects.parts import SOURCE_KEY

        self._write_scopes(model)
        held = ir.from_proto(model)
        weights = set(held.graph.initializers)
        done = rewrite(held, self._dialect)
        self.replaced, self.unknown = done.replaced, done.left
        parts = {node: node.metadata_props.get(SOURCE_KEY, str(node.name)) for node in held.graph}
        self.sources = {str(node.name): source for node, source in parts.items()}
        for node, source in parts.items():
            made = node.outputs if node.name != source else ()
            own = [
                value
                for value in node.inputs
                if value and value.is_initializer() and value.name not in weights
            ]
            self.sources |= {str(value.name): source for value in (*made, *own)}
        return ir.to_proto(held)

    @property
    def left(self) -> Sequence[str]:
        """One line for each operator that the tool does not take."""
        by_operator = defaultdict(list)
        for node, operator in self.unknown.items():
            by_operator[operator].append(self.sources[node])
        return tuple(
            f"{self._dialect.name} takes no {operator}: {len(nodes)} nodes, "
            f"the first {nodes[0]}{self._module(nodes[0])}"
            for operator, nodes in by_operator.items()
        )

    def _module(self, name: str) -> str:
        paths = [node.module.path for node in self._graph.nodes if node.view.name == name]
        return f" in {paths[0]}" if paths and paths[0] else ""

    def _write_scopes(self, model: onnx.ModelProto) -> None:
        from onnxlens.profile.graph.scopes import has_scopes, write_scopes

        graph = self._graph
        if graph.attribution == "none":
            return
        top = [node for node in graph.nodes if not node.within]
        for node, proto in zip(top, model.graph.node, strict=True):
            if not has_scopes(proto):
                lineage = graph.hierarchy.lineage(node.module.path)
                write_scopes(proto, [(path, graph.called.get(path, "")) for path in lineage])
