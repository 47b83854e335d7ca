"""Layer graphs, their importers and the zoo."""
