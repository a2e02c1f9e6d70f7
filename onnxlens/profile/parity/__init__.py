"""Numeric parity between ONNX Runtime and PyTorch, of a graph as a whole and module by module."""
