"""Dimensions that a file decides: equations between them, and their solution for given sizes.

``derive`` walks through a graph once and has each operator's rule (``rules``, ``attention``) say what must be
equal; ``equations`` solves that, as often as somebody asks with other sizes, in well under a millisecond.
"""
