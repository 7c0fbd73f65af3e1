"""What every route that takes pictures has in common on the way in: admission, the body, pictures, parameters."""
