"""The Python API: a file per verb, over ``OpenedTarget``; ``onnxlens`` itself gives its names."""
