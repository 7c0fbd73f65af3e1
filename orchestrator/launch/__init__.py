"""Starting services on this machine: in this process, or as child processes."""
