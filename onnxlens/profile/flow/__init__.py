"""The data flow of a graph between its modules: boxes, tensors, levels, pages."""
