"""The machine of `simulation.machine` once more, as kernels: the same events in the same order, fifty times as fast."""
