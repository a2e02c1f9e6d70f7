"""The manifest of an exported file: the JSON file next to it; and what the extraction of a module wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from math import prod
from pathlib import Path
from typing import Literal

from onnxlens.errors import GraphError
from onnxlens.specs.codec import read_spec
from onnxlens.specs.record import record
from onnxlens.specs.tensor import HALVES, TensorSpec, bad_range

MANIFEST_SCHEMA = "onnxlens.manifest/1"


@record(frozen=True, slots=True)
class StateTensor:
    """One entry of the module's ``state_dict``."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    kind: Literal["parameter", "buffer"]

    @property
    def elements(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Its shape in the file: ONNX has complex numbers as real and imaginary parts."""
        return (*self.shape, 2) if self.dtype.startswith("complex") else self.shape


@record(frozen=True, slots=True)
class ModuleCut:
    """The module of a model that a file holds, and how its inputs and outputs correspond to PyTorch's.

    Attributes:
        call: which of the module's calls, from 1; 0 where the file holds all that it runs.
        handed: for each input of the file, the index of the tensor that PyTorch passes to the call; a tensor
            that is passed twice counts once.
        returned: for each output, the index of the tensor that the call returns, likewise.
        doubt: why PyTorch's call cannot be matched with the file; empty where it can.
    """

    module: str
    call: int
    handed: Mapping[str, int]
    returned: Mapping[str, int]
    doubt: str = ""


@record(frozen=True, slots=True)
class Manifest:
    """How a graph was exported, and the modules and tensors of the PyTorch model it came from.

    Attributes:
        origin: the catalog's name of the graph, or ``package.module:factory``, which is told and never run.
        settings: batch, height and width for a graph of the catalog.
        weights: which weights the data file holds: ``none``, ``seeded``, or a checkpoint's file name.
        has_weights: whether they were written: into the data file, or into the graph's own.
        modules: class name of every module, by path; "" is the model itself.
        versions: of the packages that wrote the file.
        cut: of a file that holds one module of the model alone.
        dtype: that floating weights, inputs and outputs were cast to; None is the module's own.
        origin_proof: that the user has named the factory when the file was written; only their key makes it.
        data_digest: of the data file that the manifest was written with; None for none.
    """

    graph: str
    origin: str
    family: str
    opset: int
    settings: Mapping[str, int]
    weights: str
    has_weights: bool
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    input_ranges: Mapping[str, tuple[float, float]]
    modules: Mapping[str, str]
    tensors: tuple[StateTensor, ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    cut: ModuleCut | None = None
    schema: str = MANIFEST_SCHEMA
    dtype: str | None = None
    origin_proof: str | None = None
    data_digest: str | None = None

    @property
    def half_type(self) -> str | None:
        """The half type that it was cast to, or that the module's own parameters have; None for others."""
        own = {tensor.dtype for tensor in self.tensors if tensor.kind == "parameter"}
        found = {self.dtype} if self.dtype else own
        return next((half for half in sorted(HALVES) if half in found), None)

    def __post_init__(self) -> None:
        if self.schema != MANIFEST_SCHEMA:
            raise GraphError(
                f"manifest of {self.graph!r} has schema {self.schema!r}, expected {MANIFEST_SCHEMA!r}"
            )
        if wrong := bad_range(self.input_ranges):
            raise GraphError(f"manifest of {self.graph!r}: {wrong}")


@record(frozen=True, slots=True)
class ExtractedTensor:
    """An input or output of the extracted module, by its name in the file.

    Its role is the parameter of PyTorch's ``forward``, or the index among the returned tensors; "" if the
    call was not matched.
    """

    tensor: TensorSpec
    role: str = ""


@record(frozen=True, slots=True)
class ExtractReport:
    """One module in a file of its own.

    Attributes:
        module: its path; "" is the whole model.
        call: which of its calls, from 1; 0 if the file holds all of them.
        calls: how often PyTorch calls it; None if unknown.
        nodes: how many run, constant-folded ones excluded.
        weight_bytes: of its weights, without constants such as shapes and masks.
        weights: ``none``, ``seeded``, a checkpoint's name; "" for those of a foreign file.
        notes: what a reader must know, one line each.
        files: those that were written, the graph first.
    """

    graph: str
    module: str
    class_name: str
    call: int
    calls: int | None
    nodes: int
    weight_bytes: int
    weights: str
    inputs: tuple[ExtractedTensor, ...]
    outputs: tuple[ExtractedTensor, ...]
    notes: tuple[str, ...]
    files: tuple[Path, ...]


@record(frozen=True, slots=True)
class ExportedGraph:
    """The files of one export: ``x.onnx``, ``x.onnx.data`` (unless weightless) and ``x.json``."""

    onnx_path: Path
    manifest: Manifest

    @property
    def data_path(self) -> Path:
        """The path of the weights, whether or not they were written."""
        return data_path_of(self.onnx_path)

    @property
    def manifest_path(self) -> Path:
        """The path of the manifest."""
        return manifest_path_of(self.onnx_path)


def data_path_of(onnx_path: Path) -> Path:
    """``x.onnx.data`` for ``x.onnx``."""
    return onnx_path.with_name(onnx_path.name + ".data")


def manifest_path_of(onnx_path: Path) -> Path:
    """``x.json`` for ``x.onnx``."""
    return onnx_path.with_suffix(".json")


def values_path_of(onnx_path: Path, kind: str) -> Path:
    """``x.inputs.npz`` or ``x.expected.npz`` for ``x.onnx``."""
    return onnx_path.with_suffix(f".{kind}.npz")


def read_manifest(onnx_path: Path) -> Manifest | None:
    """The manifest beside the file; None where there is none, or a JSON file of another program.

    Raises:
        GraphError: the manifest is damaged.
    """
    path = manifest_path_of(onnx_path)
    if not path.is_file() or '"onnxlens.manifest/' not in path.read_text(encoding="utf-8", errors="replace"):
        return None
    return read_spec(path, Manifest)


def open_export(onnx_path: Path) -> ExportedGraph:
    """The export whose graph is at ``onnx_path``.

    Raises:
        GraphError: the file is missing, or its manifest is missing or damaged.
    """
    if not onnx_path.is_file():
        raise GraphError(
            f"{onnx_path}: no such file; give an .onnx file or a graph of the catalog ('onnxlens graphs')"
        )
    manifest = read_manifest(onnx_path)
    if manifest is None:
        raise GraphError(
            f"{onnx_path}: no manifest {manifest_path_of(onnx_path).name} next to it, so its PyTorch side is "
            "unknown; compare with the file itself: --against unoptimised"
        )
    return ExportedGraph(onnx_path, manifest)
