"""Scripts that run in a tool's own Python: they import the standard library and the tool, never onnxlens."""
