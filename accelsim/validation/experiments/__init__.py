"""Kinds of experiments, one file each; their records say what a claim file may give."""
