"""A published survey of ControlNet: its tables against this tool's figures, and why they differ."""
