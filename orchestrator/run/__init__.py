"""`tensorhop run`: photos in, files out."""
