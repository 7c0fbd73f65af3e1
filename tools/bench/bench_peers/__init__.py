"""Other people's systems that `make compare-hop` times beside the product: Flask, files, Redis, Triton."""
