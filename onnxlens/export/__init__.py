"""From an nn.Module to an ONNX file, its weights and its manifest."""
