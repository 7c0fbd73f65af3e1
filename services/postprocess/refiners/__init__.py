"""What refines a mask: the method of this package, or a matting network."""
