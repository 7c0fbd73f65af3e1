"""Values as messages on the wire: tensors, payloads, shared memory."""
