"""Hardware configs: what a user writes, checked and frozen."""
