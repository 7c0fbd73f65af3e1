"""The services, one folder each. None imports another."""

import os

# Set before ONNX Runtime is imported, which would otherwise store an id of this machine in the user's cache.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
