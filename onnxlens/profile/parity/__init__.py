"""PyTorch against ONNX Runtime, whole and module by module."""
