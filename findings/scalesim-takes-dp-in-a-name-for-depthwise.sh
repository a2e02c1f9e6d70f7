#!/usr/bin/env bash
# scalesim 3.0.0, with numpy 1.26.4.
#
# One would guess: the first column of SCALE-Sim's topology file is the layer's name, and a name means nothing.
#
# What happens: a layer whose name has the letters DP anywhere is taken for a depthwise convolution: it becomes as many layers as it
# has channels, each of one channel with all filters. A dense layer "DPT.proj" of 4 channels is 4 layers of 1 channel;
# MACs in all are the same, cycles are not. All later layers of the reports, which know a layer by its number alone, move
# down. A layer of one channel and a layout file, which has to have as many lines, hide it.
#
# Why it matters: names made from a network's modules ("backbone.DPBlock", DPT of MiDaS, DPN) simulate another network. And what is
# really depthwise needs such a name: without it there is no way to say it.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scalesim==3.0.0 numpy==1.26.4
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(scalesim|numpy) "
cat > "$folder/seen.py" <<'PY'
import sys
from pathlib import Path

from scalesim.topology_utils import topologies

head = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,"
found = {}
for name in ("proj", "DPT.proj"):
    path = Path(sys.argv[1]) / f"{name}.csv"
    path.write_text(f"{head}\n{name}, 8, 8, 3, 3, 4, 16, 1,\n")
    read = topologies()
    read.load_arrays(str(path))
    read.topo_calc_hyperparams()
    found[name] = [(array[5], read.get_layer_mac_ops(index)) for index, array in enumerate(read.topo_arrays)]
    print(f"{name}: (channels, MACs) of its layers: {found[name]}")
macs = 6 * 6 * 9 * 16
sys.exit(found != {"proj": [(4, 4 * macs)], "DPT.proj": [(1, macs)] * 4})
PY
"$folder/venv/bin/python" "$folder/seen.py" "$folder"
