"""Finds the objects that phrases name."""
