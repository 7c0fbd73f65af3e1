"""Makes a mask of the object in each box."""
