"""`tensorhop serve jobs`, `tensorhop worker` and `tensorhop jobs`."""
