"""Scripts that run in a tool's own Python: they import the standard library and the tool, never onnxlens.

Each has ``main``: from the request to the result, both of what JSON has. ``start.py`` calls it.
"""
