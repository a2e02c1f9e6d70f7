"""What the accelerator says of itself, through NVIDIA's management library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from onnxlens.errors import ToolError


def device_name() -> str:
    """The name of the first device.

    Raises:
        ToolError: the library or a device is missing.
    """
    with _first_device() as (nvml, handle):
        name = nvml.nvmlDeviceGetName(handle)
        return name.decode() if isinstance(name, bytes) else str(name)


def device_memory_bytes() -> int:
    """What all processes together hold of the first device's memory.

    Raises:
        ToolError: the library or a device is missing.
    """
    with _first_device() as (nvml, handle):
        return int(nvml.nvmlDeviceGetMemoryInfo(handle).used)


@contextmanager
def _first_device() -> Iterator[tuple[Any, Any]]:
    try:
        import pynvml
    except ImportError as error:
        raise ToolError(
            "nvidia-ml-py is missing, which tells a device's name and memory; pip install nvidia-ml-py"
        ) from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise ToolError(f"NVIDIA's driver does not answer ({error}); is there a device here?") from error
    try:
        yield pynvml, pynvml.nvmlDeviceGetHandleByIndex(0)
    finally:
        pynvml.nvmlShutdown()
