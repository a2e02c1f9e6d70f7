"""A target opened once: its file, graph, costs, weights and module, each made on first use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from onnxlens.api.target import Resolved, Settings, Target, file_of, is_file, resolve
from onnxlens.errors import UsageError
from onnxlens.specs.manifest import ExportedGraph, Manifest, open_export, read_manifest
from onnxlens.specs.module_state import ModuleState
from onnxlens.specs.progress import Progress, silent
from onnxlens.specs.temporary import temporary_folder
from onnxlens.specs.tensor import TensorSpec

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime as ort
    from torch import nn

    from onnxlens.api.file_sizes import FileSizes
    from onnxlens.api.sizes import CatalogSizes
    from onnxlens.export.network import Network
    from onnxlens.profile.graph.graph import Graph
    from onnxlens.profile.graph.loading import LoadedFile
    from onnxlens.profile.runtime.session import SessionRequest
    from onnxlens.specs.graph import GraphSpec, WeightSource
    from onnxlens.specs.ledger import Ledger
    from onnxlens.specs.peers import Convention


class OpenedTarget(AbstractContextManager["OpenedTarget"]):
    """A graph of the catalog, a factory or an ``.onnx`` file, opened once for all that is done with it.

    Every part is made on first use, and at most once. A target that is not a file is exported without
    weights, into a folder that is removed with the context; weights are added when something is to run.
    """

    def __init__(
        self,
        target: Target,
        settings: Settings | None = None,
        progress: Progress = silent,
        folder: Path | None = None,
        *,
        just_written: bool = False,
        whole_normalizations: bool = False,
    ) -> None:
        """Check the settings; nothing is read yet.

        Args:
            target: what to open.
            settings: how it is exported, unless it is a file; the sizes of a file's inputs.
            progress: shows the steps.
            folder: where an export is written to; None for a temporary folder.
            just_written: the target is a file of this very job, whose data are not read once more to compare
                their digest.
            whole_normalizations: an export keeps long group normalizations whole, as at other sizes they are.

        Raises:
            UsageError: the target is a file, and the settings contain more than sizes; or a folder that does
                not hold exactly one.
        """
        self.target = target
        self.settings = settings or Settings()
        self.progress = progress
        self.is_file = is_file(target)
        self._folder = folder
        self._just_written = just_written
        self._runs = False
        self._whole_normalizations = whole_normalizations
        self._stack = ExitStack()
        if self.is_file:
            self.settings.require_for_file(target)
            from onnxlens.api.staging import settle

            path = Path(target)
            for place in (path, *path.parents)[:3]:  # of the file, and of the run that it is part of
                settle(place)
            if path.is_dir():
                self.target = file_of(path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the temporary export."""
        self._stack.__exit__(kind, error, trace)

    @cached_property
    def resolved(self) -> Resolved:
        """The network that the target names, or that a file was exported from, as its manifest says.

        Raises:
            UsageError: there is no such graph, or the network does not accept the size; a factory made the
                file's network, and the settings do not name it.
            GraphError: the file has no manifest of ours, or the network is not the one it tells of.
        """
        if not self.is_file:
            return resolve(str(self.target), self.settings)
        from onnxlens.export.exported import require_same_network

        exported = open_export(self.path)
        source, settings = self.settings.source_of(self.path, exported.manifest)
        if ":" in source:
            self.progress(f"calling {source}", 0, 0)
        resolved = resolve(source, settings, typed=self.settings.factory is not None)
        require_same_network(exported, resolved.spec)
        return resolved

    @property
    def spec(self) -> GraphSpec:
        """The whole network's spec, also if the file holds an extracted module."""
        return self.resolved.spec

    @cached_property
    def path(self) -> Path:
        """The ``.onnx`` file: the target itself, or its export; with weights if the settings name them."""
        if self.is_file:
            return Path(self.target)
        return (self.runnable if self.settings.weights else self._exported).onnx_path

    @cached_property
    def graph(self) -> Graph:
        """The file as a graph, at the sizes that the settings give, or as one run of it shows it.

        Raises:
            GraphError: it is not an ONNX graph, or cannot be run.
            UsageError: a setting does not fit it.
        """
        if not self.settings.run:
            return self._loaded
        from onnxlens.profile.runtime.observed import observed

        loaded, file, inputs = self._loaded, self.settings.inputs, self.inputs
        self.progress("running ONNX Runtime once", 0, 0)
        return observed(loaded, self.session, inputs, file.name if file else "sample values")

    @cached_property
    def loaded_file(self) -> LoadedFile:
        """The file, read once, for graphs at any sizes."""
        from onnxlens.profile.graph.loading import LoadedFile

        path = self.path
        self.progress("loading the graph", 0, 0)
        return LoadedFile(path)

    @cached_property
    def _loaded(self) -> Graph:
        runs = self.is_file and (self._runs or self.settings.run)
        return self._file_sizes.graph_to_run(self.progress) if runs else self._file_sizes.graph_at({})

    def graph_at(self, dims: Mapping[str, int], *, fitting: bool = False) -> Graph:
        """The graph with these dimensions too, or at that batch, height and width; ``fitting``: if it can."""
        return self.sizes.graph_at(dims, fitting=fitting)

    @cached_property
    def _file_sizes(self) -> FileSizes:
        from onnxlens.api.file_sizes import FileSizes

        return FileSizes(self.loaded_file, str(self.target), self._shapes, self.settings)

    @cached_property
    def sizes(self) -> CatalogSizes | FileSizes:
        """What gives the graph at other sizes, and knows which are open."""
        from onnxlens.api.sizes import CatalogSizes

        if self.is_file or not self.resolved.sizes:
            return self._file_sizes

        def at(settings: Settings, *, whole: bool) -> OpenedTarget:
            opened = OpenedTarget(self.target, settings, self.progress, whole_normalizations=whole)
            return self._stack.enter_context(opened)

        name = self.resolved.origin
        return CatalogSizes(
            name, self.settings, lambda s: at(s, whole=True).path, lambda s: at(s, whole=False).graph
        )

    @cached_property
    def _shapes(self) -> Mapping[str, Sequence[int]]:
        """The shapes that the settings give to inputs, or the arrays for them have."""
        arrays, chosen = self._given_inputs.items(), self.settings
        return {name: array.shape for name, array in arrays if name not in chosen.values} | {**chosen.shapes}

    def session(self, provider: str = "cpu", request: SessionRequest | None = None) -> ort.InferenceSession:
        """A session on the file, with its weights; where the settings change fixed sizes of inputs, at those.

        Raises:
            ToolError: the provider is not available.
            GraphError: ONNX Runtime refuses the file, or it has no such sizes.
        """
        from onnxlens.profile.runtime.session import PLAIN, open_session

        chosen = request or PLAIN
        asked = replace(chosen, model=self._resized or chosen.model)
        return open_session(self.runnable_path, provider, asked)

    @cached_property
    def _resized(self) -> bytes | None:
        """The model with the fixed sizes of inputs that the settings change; None where they change none."""
        from onnxlens.profile.graph.loading.fixing import with_changed_shapes

        return with_changed_shapes(self.path, self._shapes) if self._shapes else None

    @cached_property
    def _given_inputs(self) -> Mapping[str, np.ndarray]:
        from onnxlens.profile.runtime.inputs import read_inputs

        return {} if self.settings.inputs is None else read_inputs(self.settings.inputs)

    @cached_property
    def inputs(self) -> Mapping[str, np.ndarray]:
        """What the graph runs on: the arrays of the settings' file, and sample values for other inputs.

        Raises:
            UsageError: an array does not fit its input, or an input's size is not fixed.
        """
        from onnxlens.profile.runtime.inputs import all_known, sample_inputs
        from onnxlens.profile.runtime.sensible import inputs_of

        manifest = self.manifest
        ranges = manifest.input_ranges if manifest else {}
        sized = self._shapes or self.settings.dims or self.settings.values
        if manifest is not None and not sized and all_known(manifest):
            return sample_inputs(manifest.inputs, ranges)  # the graph need not be loaded
        return inputs_of(self._loaded, self._given_inputs, ranges)

    @cached_property
    def ledger(self) -> Ledger:
        """The counted costs of every node and module."""
        return self.ledger_in("matrix")

    def ledger_in(self, convention: Convention) -> Ledger:
        """The counted costs; with a peer's convention each row also has what that package counts.

        Raises:
            UsageError: the convention needs module metadata, and the file has none.
        """
        from onnxlens.profile.count.ledger import build_ledger

        graph = self.graph
        self.progress("counting", 0, 0)
        return build_ledger(graph, convention)

    @property
    def manifest(self) -> Manifest | None:
        """The file's manifest, None if it has none; for an export, as it is without weights."""
        return read_manifest(self.path) if self.is_file else self._exported.manifest

    @cached_property
    def runnable(self) -> ExportedGraph:
        """The file with its weights and its manifest; the weights are seeded by default.

        Raises:
            GraphError: the file is missing, or has no manifest of ours, or its weights are another export's.
            CheckpointError: the weights cannot be read.
        """
        if self.is_file:
            from onnxlens.export.exported import require_own_data

            exported = open_export(self.path)
            if not self._just_written:
                require_own_data(exported)
            return exported
        source = self.weights
        if source is None:
            return self._exported
        from onnxlens.export.exporter import add_weights

        return add_weights(self._exported, source, self.progress)

    @property
    def runnable_path(self) -> Path:
        """The ``.onnx`` file, with its weights; a file from elsewhere needs no manifest.

        Raises:
            CheckpointError: the weights cannot be read.
        """
        return self.path if self.is_file else self.runnable.onnx_path

    @cached_property
    def weights(self) -> WeightSource | None:
        """The weights that the settings name, by default seeded ones; None for ``none``.

        Raises:
            CheckpointError: the checkpoint is not the network's.
        """
        from onnxlens.reference_model.weights.checkpoint import CheckpointReading
        from onnxlens.reference_model.weights.choice import weight_source

        chosen = self.settings.weights or "seeded"
        if chosen == "none":
            return None
        reading = CheckpointReading(self.settings.strip_prefix, self.settings.allow_extra)
        return weight_source(self.spec, chosen, self._state, reading)

    @cached_property
    def network(self) -> Network:
        """The whole network on the meta device: shapes without values.

        Raises:
            UsageError: its factory fails, or its module cannot take the inputs.
        """
        from onnxlens.export.network import Network

        return Network(self.resolved.spec)

    def take_module(self, weights: WeightSource | None = None) -> nn.Module:
        """The module with values. It is not kept here: its memory is freed when the caller drops it.

        Args:
            weights: None for those of the file, mapped into memory.

        Raises:
            CheckpointError: the weights are missing.
            GraphError: the file holds an extracted module, and PyTorch's call of it is unknown.
        """
        from onnxlens.export.exported import MappedWeights, require_same_state
        from onnxlens.profile.parity.network import network_of

        source = MappedWeights(self.runnable) if weights is None else weights
        network = self.network
        if self.is_file:
            require_same_state(self.runnable, self.spec.name, network.state.tensors)
        module = network_of(network.module, network.spec, self.manifest if self.is_file else None)
        del self.network  # it is filled in place, and no longer on the meta device
        return network.filled(module, source)

    def require_weights(self) -> None:
        """Check that the target can run, and have a language model's open sizes chosen.

        Raises:
            UsageError: the settings say to export it without weights.
        """
        if self.settings.weights == "none" and not self.is_file:
            raise UsageError(f"{self.target}: cannot run without weights; choose seeded ones or a checkpoint")
        self._runs = True
        loaded: Graph | None = self.__dict__.get("_loaded")
        if loaded is not None and any(tensor.elements is None for tensor in loaded.inputs):
            for part in ("_loaded", "graph", "ledger"):
                self.__dict__.pop(part, None)  # they are of open sizes

    @cached_property
    def _state(self) -> ModuleState:
        """The network's ``state_dict``; of a catalog graph from the cache, its manifest's entries."""
        if "_exported" not in self.__dict__ or not self.resolved.sizes:
            return self.network.state
        tensors = self._exported.manifest.tensors
        return ModuleState(
            {found.name: TensorSpec(found.name, found.dtype, found.shape) for found in tensors}
        )

    @cached_property
    def _exported(self) -> ExportedGraph:
        """The export without weights, from the cache if it is there."""
        from onnxlens.api.exporting import GraphExport  # a file needs none of it

        folder = self._folder or self._stack.enter_context(temporary_folder())
        found = GraphExport(self.resolved, self.settings, folder, self._whole_normalizations, self.progress)
        return found.made(self._network_to_export)

    def _network_to_export(self) -> Network:
        if self.settings.weights is not None:
            _ = self.weights  # reject a wrong checkpoint before the work of an export
        return self.network


@contextmanager
def opened(
    target: Target | OpenedTarget, settings: Settings | None = None, progress: Progress = silent
) -> Iterator[OpenedTarget]:
    """The target, opened until the context ends; one that is open already is left open.

    Raises:
        UsageError: it is open already, and settings are given too.
    """
    if isinstance(target, OpenedTarget):
        if settings is not None:
            raise UsageError(f"{target.target}: is open already; give the settings when it is opened")
        yield target
        return
    with OpenedTarget(target, settings, progress) as it:
        yield it
