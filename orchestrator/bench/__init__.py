"""`tensorhop bench`: what a hop between two processes costs, beside the ways that people use today."""
