"""Finishes cut-outs: center, decontaminate, shadow."""
