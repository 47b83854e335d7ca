"""Components of the machine."""
