"""Trains the networks that ship with accelsim and writes their files; needs the extra ``[train]``, which is PyTorch."""
