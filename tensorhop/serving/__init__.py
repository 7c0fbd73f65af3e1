"""The command line of a service, and the life of its process."""
