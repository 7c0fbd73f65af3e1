"""The options of a request to the cut-out pipeline: one table for command line, manifest and HTTP."""
