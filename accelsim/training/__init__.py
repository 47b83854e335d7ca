"""Trains, quantises and writes the networks that ship with accelsim.

What reads and writes files (`datasets`, `network_file`, `onnx_build`) needs nothing beyond the base install; the rest
needs the extra ``[train]``, which is PyTorch.
"""
