"""The figures that a published survey of ControlNet asks for, as data flows."""
