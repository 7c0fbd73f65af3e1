"""Tells the pixels of objects from those of their surroundings."""
