"""From results to tables, documents and pictures. Reads the specs or their JSON, never torch or onnx."""
