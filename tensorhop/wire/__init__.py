"""Values as messages: tensors, payloads, shared memory."""
