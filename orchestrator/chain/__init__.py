"""What every chain needs: connected steps, retries, a cache, and the scope of one request."""
