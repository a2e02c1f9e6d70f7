"""A FlowGraph as a picture: what is drawn where, in Graphviz's language, and the files it is drawn into."""
