"""What runs a graph: a provider of ONNX Runtime, or a runtime of others in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.api.opened import OpenedTarget
from onnxlens.errors import ToolError
from onnxlens.profile.runtime.session import SessionRequest, open_session, run
from onnxlens.profile.runtime.values import Value
from onnxlens.specs.temporary import temporary_folder

if TYPE_CHECKING:
    import numpy as np
    import onnx

RUNTIMES = ("openvino", "qnn")
"""Runtimes of others, by the name of the compiler that brings each."""

Runner = Callable[[Mapping[str, "np.ndarray"]], Mapping[str, Value]]


def require_provider(provider: str) -> None:
    """Refuse before anything is exported a provider that this machine lacks.

    Raises:
        ToolError: it is not available.
    """
    if provider in RUNTIMES:
        _python_of(provider)
    elif provider != "cpu":
        from onnxlens.profile.runtime.peaks import require_runnable

        require_runnable(provider, "all")


def reference_provider(provider: str) -> str:
    """The provider of ONNX Runtime whose outputs without optimizations are the reference for this one's."""
    return "cpu" if provider in RUNTIMES else provider


def outputs_of(it: OpenedTarget, provider: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, Value]:
    """What a target's graph makes of the inputs."""
    if provider not in RUNTIMES:
        return run(it.session(provider), inputs)
    from onnxlens.profile.subgraph.one_file import write_one_file

    with temporary_folder() as folder:
        path = write_one_file(it.runnable_path, it.graph, folder / "model.onnx")
        return _runner(provider, path, [value.name for value in it.graph.outputs])(inputs)


@contextmanager
def opened_model(path: Path, provider: str, model: onnx.ModelProto) -> Iterator[Runner]:
    """What runs a model whose external weights are beside the file ``path``."""
    if provider not in RUNTIMES:
        session = open_session(path, provider, SessionRequest(model=model.SerializeToString()))
        yield lambda inputs: run(session, inputs)
        return
    from onnxlens.profile.subgraph.one_file import save_whole

    outputs = [value.name for value in model.graph.output]  # to write a model takes it apart
    with temporary_folder() as folder:
        yield _runner(provider, save_whole(model, path, folder / "model.onnx"), outputs)


def _runner(provider: str, model: Path, outputs: list[str]) -> Runner:
    """Runs the model in the runtime's process, one for each call, which leaves its files beside the model."""
    from onnxlens.profile.vendor.compilers.lookup import Run, compiler_of

    compiler, python = compiler_of(provider), _python_of(provider)
    assert compiler.run is not None

    def call(inputs: Mapping[str, np.ndarray]) -> Mapping[str, Value]:
        assert compiler.run is not None
        try:
            return compiler.run(Run(python, model, inputs, outputs, compiler.chip()))
        except ToolError as error:
            raise ToolError(f"provider {provider!r}: {error}") from error

    return call


def _python_of(provider: str) -> Path:
    from onnxlens.profile.vendor.compilers.lookup import compiler_of, named_python, variable_of

    compiler = compiler_of(provider)
    found = compiler.find(named_python(provider, {}))
    if found.python is None:
        raise ToolError(
            f"provider {provider!r} is not available: {found.missing}; install it ({compiler.install}), or "
            f"name the Python that has it in {variable_of(provider)}"
        )
    return found.python
