"""Where the numbers in a network come from: nowhere, a seed, or a published checkpoint."""
