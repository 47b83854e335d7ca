"""Sparse power-of-two weights: W ~ Ce x B, with Ce sparse signed powers of two and B a small 8-bit basis.

`accelsim.workload.pot.decompose` makes them from a network's weights, `accelsim.workload.pot.files` keeps them.
"""
