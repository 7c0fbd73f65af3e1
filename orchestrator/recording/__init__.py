"""Recordings: what a request of a chain was, what its steps answered, and when, kept in a folder of its own."""
