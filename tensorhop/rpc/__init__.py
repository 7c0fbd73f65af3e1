"""What a service needs to be served and called over gRPC."""
