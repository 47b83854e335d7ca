"""From a layer graph and a machine to tiles, their order and their place in memory."""
