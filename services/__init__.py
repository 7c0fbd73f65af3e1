"""The services, one folder each. None imports another."""

import os

# Before anything imports ONNX Runtime, which otherwise keeps an id of this machine in the user's cache.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
