"""What other counters make of the same graph: onnx-tool, fvcore and thop, a table of formulas each."""
