"""Benches of the whole chain and of its services under load; docs/flow.md has their numbers."""
