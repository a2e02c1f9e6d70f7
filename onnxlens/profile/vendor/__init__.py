"""What other people's tools say of a graph, led back to its nodes: profiles that are read, compilers that are run."""
