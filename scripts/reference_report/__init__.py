"""The published reference report, made again: its tables, its figures, and onnx-tool's own tables."""
