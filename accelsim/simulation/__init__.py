"""Runs a tile graph on the components of a machine."""
