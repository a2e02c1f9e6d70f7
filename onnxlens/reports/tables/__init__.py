"""Results as text: a terminal's table, Markdown, CSV."""
