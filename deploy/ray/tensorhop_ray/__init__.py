"""Services of Tensorhop as applications of Ray Serve, behind its gRPC proxy."""
