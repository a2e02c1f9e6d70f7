"""Data flow at the level of names that a person gives: a file of groups, and the flow drawn with them."""
