"""Single services, and the chain of views, over HTTP: pictures as paths, uploads or tensors, in and out."""
