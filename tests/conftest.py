"""What every test shares: the switch for slow tests, and tools that CI must have."""

from __future__ import annotations

import os
import shutil

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="also run the tests that are marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--run-slow"):
        return
    skip = pytest.mark.skip(reason="slow: run with --run-slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture
def dot() -> str:
    """Graphviz's ``dot``. A machine may lack it; CI may not, or pictures would go untested."""
    program = shutil.which("dot")
    if program is None:
        message = "Graphviz's dot is missing: apt-get install graphviz"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return program
