"""DRAM, simulated per command."""
