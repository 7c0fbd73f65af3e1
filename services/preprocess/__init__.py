"""Crops pairs of views out of panoramas."""
