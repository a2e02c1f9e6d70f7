"""ONNX Runtime: sessions, inputs, timing, its profile, and what an optimised node stands for."""
