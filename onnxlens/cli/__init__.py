"""The command line: a file per group of verbs, each verb a thin call of the Python API."""
