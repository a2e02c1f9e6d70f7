"""Rockchip's rknn-toolkit2: cycles of its cost model by layer; in int8 the error of every tensor too."""

from onnxlens.profile.vendor.compilers.one_file import OneFileCompiler

COMPILER = OneFileCompiler(
    name="rknn",
    doc="cycles of the NPU and of DRAM by layer in float16; in int8 (CHIP@int8) the error of each tensor too",
    install="python3.11 -m venv rknn && rknn/bin/pip install --no-deps rknn-toolkit2==2.5.0 && "
    "rknn/bin/pip install torch==2.13.0 numpy==1.26.4 onnx==1.16.1 onnxruntime==1.18.1 protobuf==4.25.4 "
    "'setuptools<80' psutil ruamel.yaml scipy tqdm opencv-python-headless fast-histogram",
    packages=("rknn-toolkit2", "torch", "onnx", "onnxruntime", "numpy"),
    floating=("rk3588", "rk3576", "rk3562", "rk3566", "rk3568", "rv1126b"),
    integer=("rv1103", "rv1103b", "rv1106", "rv1106b", "rk2118"),
).compiler()
