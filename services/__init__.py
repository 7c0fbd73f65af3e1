"""The steps of the chain, a gRPC service each. None imports another."""
