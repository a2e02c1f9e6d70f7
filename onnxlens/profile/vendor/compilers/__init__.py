"""Compilers and simulators of other people that are run here, each in a process of its own."""
