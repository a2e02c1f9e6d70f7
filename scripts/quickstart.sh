#!/usr/bin/env bash
# Sets up everything on a fresh machine, then takes two graphs of the reference model all the way:
# export, module table, parity against PyTorch, picture. Results go to onnxlens-out/.
set -euo pipefail
source "$(dirname "$0")/setup.sh"
install_packages ""
install_system dot graphviz

out=onnxlens-out
for graph in clip-text hed; do
    onnxlens export "$graph" --out "$out/$graph"
    onnxlens profile "$out/$graph/$graph.onnx" --depth 2
    onnxlens profile "$out/$graph/$graph.onnx" --format json > "$out/$graph/profile.json"
    onnxlens check "$out/$graph/$graph.onnx"
    onnxlens render "$out/$graph/$graph.onnx" --depth 2 --out "$out/$graph/flow.svg"
    onnxlens render "$out/$graph/$graph.onnx" --depth 2 --out "$out/$graph/flow.png"
done
