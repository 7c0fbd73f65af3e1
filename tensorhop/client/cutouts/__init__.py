"""The client of the chain of cut-outs, and what it sends and receives."""
