"""What a photo moves between the processes of a chain."""
