#!/usr/bin/env bash
# Sets up everything on a fresh machine, then runs the main job: every graph of the reference model at full size,
# exported, counted, compared with PyTorch, timed and drawn. Arguments go to the job: --quick, --graphs, --weights,
# --netron.
set -euo pipefail
source "$(dirname "$0")/setup.sh"
extras=""
case " $* " in
    *" --netron "*)
        extras="[netron]"
        install_system chromium chromium
        ;;
esac
install_packages "$extras"
install_system dot graphviz

exec onnxlens run --out onnxlens-out "$@"
