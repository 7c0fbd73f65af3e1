"""Crops the views between two cameras out of panoramas."""
