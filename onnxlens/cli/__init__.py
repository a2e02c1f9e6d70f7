"""The command line: a file per verb, each a thin call of the Python API."""
