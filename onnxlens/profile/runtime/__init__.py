"""ONNX Runtime: sessions, sample inputs, timing, its profile, and the provenance of the nodes it runs."""
