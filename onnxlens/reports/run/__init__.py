"""The files of the main job: those of each graph, and the page that links them."""
