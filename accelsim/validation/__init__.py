"""Studies that set published figures beside simulated ones."""
