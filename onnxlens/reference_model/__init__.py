"""ControlNet v1.0 on Stable Diffusion 1.5: the networks, their catalog, and the weights that fill them."""
