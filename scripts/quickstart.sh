#!/usr/bin/env bash
# Sets up everything on a fresh machine, then runs the main job: every graph of the reference model at full size,
# exported, counted, compared with PyTorch, timed and drawn. Arguments go to the job: --quick, --graphs, --weights.
set -euo pipefail
source "$(dirname "$0")/setup.sh"
install_packages ""
install_system dot graphviz

exec onnxlens run --out onnxlens-out "$@"
