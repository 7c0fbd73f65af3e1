"""The pipeline over HTTP: a client of it that takes forms, JSON and raw tensors."""
