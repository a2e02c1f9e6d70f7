"""Netron's page, served to this machine alone, and pictures taken of it."""
