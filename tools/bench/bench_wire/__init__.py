"""Benches of connections and memory with large messages; docs/wire.md has their numbers."""
