"""Vendors' own cycle models, each as its tool computes it: what the tool says, not what a device takes."""
