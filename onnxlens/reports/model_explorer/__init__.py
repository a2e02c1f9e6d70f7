"""Graphs and figures in the JSON that Google's Model Explorer opens."""
