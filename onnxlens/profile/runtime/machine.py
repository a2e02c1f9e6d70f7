"""The machine that a measurement was taken on, and its accelerator: without them a time means nothing."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from onnxlens.errors import ToolError

RUNTIME_PACKAGES = ("onnxruntime-gpu", "onnxruntime")


def memory_bytes() -> int:
    """Of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def machine() -> Mapping[str, str]:
    """Processor, usable cores, memory, system, load, and the versions of what runs the networks."""
    return {
        "processor": _processor(),
        "cores": str(usable_cores()),
        "memory": f"{memory_bytes() / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "load": f"{os.getloadavg()[0]:.1f} over the last minute",
        "torch": version("torch"),
        "onnxruntime": next(filter(None, map(_version, RUNTIME_PACKAGES)), "unknown"),
    }


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device_name() -> str:
    """The name of the first accelerator, from NVIDIA's management library.

    Raises:
        ToolError: the library or a device is missing.
    """
    with _first_device() as (nvml, handle):
        name = nvml.nvmlDeviceGetName(handle)
        return name.decode() if isinstance(name, bytes) else str(name)


def device_memory_bytes() -> int:
    """The memory of the first accelerator that all processes together use.

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
            "nvidia-ml-py is missing, which reads a device's name and memory; pip install nvidia-ml-py"
        ) from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise ToolError(f"NVIDIA's driver does not answer ({error}); is there a device here?") from error
    try:
        yield pynvml, pynvml.nvmlDeviceGetHandleByIndex(0)
    finally:
        pynvml.nvmlShutdown()


def _processor() -> str:
    """The processor's name, if the system reports it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def release_memory() -> None:
    """Return to the system what was freed: the C library keeps gigabytes of it for later.

    The next session's weights do not fit into the holes, so that a process would hold both.
    """
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # glibc alone
        trim(0)
