"""Caches: a set-associative hierarchy simulated line by line, stream prefetchers, and exact reuse distances."""
