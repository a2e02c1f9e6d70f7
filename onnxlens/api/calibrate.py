"""This machine, measured and kept as the chip ``host``."""

from __future__ import annotations

from pathlib import Path

from onnxlens.api.hardware import HOST, chip_of
from onnxlens.api.staging import staged_file
from onnxlens.specs.chip import Chip
from onnxlens.specs.progress import Progress, silent


def calibrate_host(progress: Progress = silent) -> tuple[Path, Chip]:
    """Measure this machine and write its chip file, in less than a minute.

    Returns:
        The file, and the chip.

    Raises:
        UsageError: the file cannot be written.
    """
    from onnxlens.profile.chip.chip_file import host_file
    from onnxlens.profile.runtime.calibration import calibrate, chip_text

    path = host_file()
    with staged_file(path) as file:  # a folder that cannot be written is reported before any work
        file.write_text(chip_text(calibrate(progress)), encoding="utf-8")
    return path, chip_of(HOST)
