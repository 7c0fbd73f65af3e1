"""Plain values without transport: pictures, boxes, masks, results, and a caller's options."""
