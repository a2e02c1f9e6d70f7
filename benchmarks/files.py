"""Makes the files that are measured: ``python benchmarks/files.py FOLDER``, in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

UNET, RESNET = "sd-unet", "light_resnet50"
CHAIN_SIZES = (25_000, 50_000, 100_000)
LONGEST = 200_000


def chain_name(nodes: int, with_shapes: bool) -> str:
    """How the file of a chain is called."""
    return f"chain-{nodes}{'' if with_shapes else '-bare'}"


def make_files(folder: Path, only: str = "") -> None:
    """The UNet with its seeded weights, ONNX's own ResNet-50 without any, and chains of three sizes.

    Only one by one: the longest chain, and those of ``WIDE``.

    Args:
        folder: where to write them.
        only: the name of the one that is wanted; the UNet is then without weights.
    """
    if only in ("", UNET):
        import onnxlens

        onnxlens.export_graph(UNET, folder, onnxlens.Settings(weights="none") if only else None)
    if only in ("", RESNET):
        import onnx

        nets = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
        (folder / f"{RESNET}.onnx").write_bytes((nets / f"{RESNET}.onnx").read_bytes())
    from synthetic import write_chain  # here, as what measures stays small
    from wide import WIDE, write_wide

    if only in WIDE:
        write_wide(folder, only)
    for nodes in (*CHAIN_SIZES, LONGEST):
        for with_shapes in (True, False):
            name = chain_name(nodes, with_shapes)
            if only == name or not (only or nodes == LONGEST):
                write_chain(folder / f"{name}.onnx", nodes, with_shapes)


if __name__ == "__main__":
    make_files(Path(sys.argv[1]), *sys.argv[2:])
