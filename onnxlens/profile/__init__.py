"""From an ONNX file to its costs, counted, and its measurements, run."""
