#!/usr/bin/env bash
# Ruff (rules and format) and mypy --strict over the project.
set -euo pipefail
source "$(dirname "$0")/setup.sh"
install_packages "[test]"

ruff check .
ruff format --check --quiet .
mypy
