"""The commands of the second chain and its services."""
