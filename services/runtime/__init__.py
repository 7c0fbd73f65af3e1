"""What networks run on: devices, number types, threads."""
