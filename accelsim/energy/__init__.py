"""From activity counts to energy."""
