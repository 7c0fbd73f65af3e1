"""Every method of every registered service in JSON: the Connect protocol, and streams as lines or events."""
