"""accelsim: a cycle-level, event-driven simulator of deep-learning accelerators."""

__version__ = "0.1.0"
