"""The matrix work of a graph as the input files of hardware cost models."""
