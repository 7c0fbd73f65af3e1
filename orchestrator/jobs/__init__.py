"""Jobs: requests of any chain that wait in a queue, survive restarts, and keep their answers for a while."""
