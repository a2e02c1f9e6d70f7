#!/usr/bin/env bash
# ethos-u-vela 5.2.0.
#
# One would guess: the MACs that a compiler reports for a convolution are output positions x output channels x input
# channels x taps of the kernel, whatever the dilation; and utilization is those MACs over the cycles' capacity.
#
# What happens: Vela counts a dilated kernel with its holes, as the 11 x 11 positions that a 3 x 3 kernel of dilation 5
# spans: 121 - in part beyond the padded plane - instead of 9 taps. It reports 13.4 times the MACs, its cycles grow
# likewise, and the layer stands there with a utilization of 94 % on an Ethos-U55 of 256 MACs, although 7 % of the slots
# multiply anything but zeros that nobody stored.
#
# Why it matters: dilated layers (atrous segmentation heads, line detectors such as M-LSD) look like the best layers of
# the net in the report, and MACs of Vela and of any other counter cannot be compared layer by layer.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ethos-u-vela==5.2.0
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(ethos-u-vela) "
cat > "$folder/write.py" <<'PY'
"""Write one int8 convolution, 3 x 3, 16 to 16 channels on 32 x 32, as TFLite: dilation and file on the command line."""

import sys

import flatbuffers
import numpy as np
from ethosu.vela.tflite import (
    Buffer, Conv2DOptions, Model, Operator, OperatorCode, QuantizationParameters, SubGraph, Tensor,
)

CONV_2D, CONV_2D_OPTIONS, SAME, INT32, INT8 = 3, 1, 0, 2, 9
builder = flatbuffers.Builder(1024)


def table(module, **fields):
    name = module.__name__.rpartition(".")[2]
    getattr(module, f"{name}Start")(builder)
    for key, value in fields.items():
        getattr(module, f"{name}Add{key}")(builder, value)
    return getattr(module, f"{name}End")(builder)


def tables(offsets):
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def numbers(values, kind=np.int32):
    return builder.CreateNumpyVector(np.asarray(values, kind))


def tensor(name, shape, kind, buffer, scale):
    text, sizes = builder.CreateString(name), numbers(shape)
    scales, zeros = numbers([scale], np.float32), numbers([0], np.int64)
    quantized = table(QuantizationParameters, Scale=scales, ZeroPoint=zeros)
    return table(Tensor, Shape=sizes, Type=kind, Buffer=buffer, Name=text, Quantization=quantized)


dilation = int(sys.argv[1])
weights = np.random.default_rng(0).integers(-99, 99, (16, 3, 3, 16)).astype(np.int8)
data = [numbers(np.frombuffer(held, np.uint8), np.uint8) for held in (weights.tobytes(), bytes(64))]
buffers = tables([table(Buffer), *(table(Buffer, Data=each) for each in data)])
held = tables([
    tensor("x", (1, 32, 32, 16), INT8, 0, 0.02), tensor("w", weights.shape, INT8, 1, 0.01),
    tensor("b", (16,), INT32, 2, 0.0002), tensor("y", (1, 32, 32, 16), INT8, 0, 0.05),
])
how = dict(Padding=SAME, StrideW=1, StrideH=1, DilationWFactor=dilation, DilationHFactor=dilation)
options = table(Conv2DOptions, **how)
read, written = numbers([0, 1, 2]), numbers([3])
run = table(
    Operator, OpcodeIndex=0, Inputs=read, Outputs=written, BuiltinOptionsType=CONV_2D_OPTIONS, BuiltinOptions=options
)
run, first, last = tables([run]), numbers([0]), numbers([3])
graph = tables([table(SubGraph, Tensors=held, Inputs=first, Outputs=last, Operators=run)])
code = tables([table(OperatorCode, DeprecatedBuiltinCode=CONV_2D, BuiltinCode=CONV_2D, Version=2)])
builder.Finish(table(Model, Version=3, OperatorCodes=code, Subgraphs=graph, Buffers=buffers), b"TFL3")
with open(sys.argv[2], "wb") as file:
    file.write(builder.Output())
PY
for dilation in 1 5; do
    "$folder/venv/bin/python" "$folder/write.py" "$dilation" "$folder/d$dilation.tflite"
    "$folder/venv/bin/vela" "$folder/d$dilation.tflite" --accelerator-config ethos-u55-256 --config Arm/vela.ini \
        --system-config Ethos_U55_High_End_Embedded --memory-mode Sram_Only --verbose-performance \
        --output-dir "$folder/out$dilation" > "$folder/log$dilation.txt"
done
cat > "$folder/seen.py" <<'PY'
import csv
import glob
import sys

folder, found = sys.argv[1], {}
for dilation in (1, 5):
    (path,) = glob.glob(f"{folder}/out{dilation}/*per-layer.csv")
    with open(path, newline="") as file:
        row = next(row for row in csv.DictReader(file) if "Conv" in " ".join(map(str, row.values())))
    by_head = {head.strip(): text for head, text in row.items()}
    found[dilation] = (int(by_head["MAC Count"]), int(float(by_head["NPU"])))
    print(f"dilation {dilation}: {found[dilation][0]:,} MACs, {found[dilation][1]:,} NPU cycles")
true = 32 * 32 * 16 * 16 * 9
print(f"taps that are stored, at any dilation: {true:,} MACs")
sys.exit(found != {1: (true, 14_038), 5: (31_719_424, 132_288)})
PY
"$folder/venv/bin/python" "$folder/seen.py" "$folder"
