"""The chain of views: panoramas -> preprocess (pairs) -> quality -> describe -> interpolate -> upscale."""
