"""Part of a graph as a model of its own, with its weights."""
