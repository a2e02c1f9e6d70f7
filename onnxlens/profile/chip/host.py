"""The file of this machine as a chip, in the user's folder of configurations."""

from __future__ import annotations

import os
from pathlib import Path


def host_file() -> Path:
    """``ONNXLENS_HOST``, else ``host.toml`` in the platform's folder of the user's configurations."""
    if chosen := os.environ.get("ONNXLENS_HOST"):
        return Path(chosen)
    from platformdirs import user_config_path

    return user_config_path("onnxlens") / "host.toml"
