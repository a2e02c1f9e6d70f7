#!/usr/bin/env bash
# Makes reports/ again: the tables, from graphs without weights, in about a minute. --figures draws the document's
# figures, --pictures the data flow of every graph, --pipeline schedules and trains a step and draws the plots,
# --onnx-tool has onnx-tool read every graph with its weights (minutes, 7 GB of memory). --vendors compiles five
# networks with the tools of chips that ONNXLENS_TOOL_* name (an hour; ResNet-18 needs the package transformers):
# --vendors hed mlsd-tiny --with qnn openvino does a part of it. A record of the same version, graph and weights
# that is there is not made again, unless with --again; so a call that was interrupted goes on.
set -euo pipefail
source "$(dirname "$0")/setup.sh"
install_packages "[test]"
install_system dot graphviz

PYTHONPATH=scripts exec python -m reference_report "$@"
