"""Chains the services, and the `tensorhop` command."""
