"""Sophgo's tpu-mlir: the trace of its cycle model, instruction by instruction."""

from onnxlens.profile.vendor.compilers.one_file import OneFileCompiler

COMPILER = OneFileCompiler(
    name="tpu-mlir",
    doc="cycles by layer of the model of Sophgo's TPUs, in float16 or int8 (CHIP@int8)",
    install="python3.10 -m venv tpu-mlir && "
    "tpu-mlir/bin/pip install 'tpu-mlir[onnx]==1.30.2' 'setuptools<80' psutil",
    packages=("tpu-mlir", "onnx", "onnxruntime", "onnxsim", "setuptools", "psutil"),
    floating=("bm1684x", "bm1688", "bm1690", "cv186x", "cv184x"),
    integer=("bm1684", "cv183x", "cv182x", "cv181x", "cv180x"),
).compiler()
