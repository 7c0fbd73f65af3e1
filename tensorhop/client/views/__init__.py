"""ViewsClient: the chain of views, from any thread."""
