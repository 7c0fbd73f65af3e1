"""The chain of cut-outs: photo -> describe -> detect -> segment -> postprocess."""
