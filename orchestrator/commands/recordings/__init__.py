"""The commands that read recordings: `tensorhop show` and `tensorhop replay`."""
