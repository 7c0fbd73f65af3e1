"""The known models, and the sources of their files."""
