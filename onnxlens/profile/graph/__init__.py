"""From an ONNX file to a Graph: loading, shapes, scopes, the module tree and what crosses its borders."""
