"""Scores pictures, and pairs of views."""
