"""ONNX Runtime's own operators, which its optimizer and its tools write in place of ONNX's."""
