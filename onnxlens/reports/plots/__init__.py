"""Plots of results: one module each, all with the look and the file formats of ``style``."""
