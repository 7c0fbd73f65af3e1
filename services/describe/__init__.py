"""Names the central object of a photo."""
