"""Modules of PyTorch and of a file side by side: what each is handed, hands on, and adds itself."""
