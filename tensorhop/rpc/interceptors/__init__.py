"""Interceptors: a server observes, authenticates and limits every call, and turns exceptions into statuses."""
