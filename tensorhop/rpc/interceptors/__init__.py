"""What a server does around every call: observe it, authenticate it, limit it, and turn exceptions into statuses."""
