"""The small networks that several services share, with their weights."""
