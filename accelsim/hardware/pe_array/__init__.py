"""PE arrays, one file per array."""
