"""A published survey of ControlNet: its tables beside this tool's figures, and where the two part."""
