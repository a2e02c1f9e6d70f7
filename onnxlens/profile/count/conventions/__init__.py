"""What other counters count for the same graph: onnx-tool, fvcore and thop, each a table of formulas."""
