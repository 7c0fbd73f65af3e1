"""A learned shadow: the network, and the layer that its picture becomes."""
