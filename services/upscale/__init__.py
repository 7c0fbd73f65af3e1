"""Makes pictures larger and sharper."""
