"""Published figures beside simulated ones: claims, studies, and what other simulators measured."""
