"""Tools of others, run or read: what they say of each layer, led back to the nodes of the graph."""
