"""The commands of `tensorhop`."""
