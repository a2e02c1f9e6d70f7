"""Chips: what a MAC array, memories and rates make of a counted graph."""
