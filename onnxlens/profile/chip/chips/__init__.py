"""Chip files, a family each: docs/hardware.md."""
