"""One run of a session as a call, with the copies to and from a device left out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from onnxlens.errors import GraphError
from onnxlens.profile.runtime.session import reason, run

if TYPE_CHECKING:
    import onnxruntime as ort

DEVICES: Mapping[str, str] = {"cuda": "cuda", "tensorrt": "cuda"}
"""Where a provider's tensors live, by ONNX Runtime's name; the others work on the host's memory."""


def bound(
    session: ort.InferenceSession, inputs: Mapping[str, np.ndarray], provider: str
) -> Callable[[], object]:
    """A call that runs the session once and returns when it is done.

    For a device the inputs are copied there once, here, and outputs stay there: a run copies nothing.

    Raises:
        GraphError: an input cannot be bound; the call raises it when ONNX Runtime stops with an error.
    """
    device = DEVICES.get(provider)
    if device is None:
        return lambda: run(session, inputs)
    return _bound_to(device, session, inputs)


def _bound_to(
    device: str, session: ort.InferenceSession, inputs: Mapping[str, np.ndarray]
) -> Callable[[], object]:
    import onnxruntime as ort

    binding = session.io_binding()
    try:
        for value in session.get_inputs():
            binding.bind_ortvalue_input(
                value.name, ort.OrtValue.ortvalue_from_numpy(inputs[value.name], device, 0)
            )
        for output in session.get_outputs():
            binding.bind_output(output.name, device, 0)
        binding.synchronize_inputs()
    except Exception as error:  # onnxruntime raises a class of its own per fault
        raise GraphError(f"inputs cannot be bound to {device}: {reason(error)}") from error

    def call() -> None:
        try:
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()
        except Exception as error:  # as above
            raise GraphError(f"ONNX Runtime could not run the graph: {reason(error)}") from error

    return call
