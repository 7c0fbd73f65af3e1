"""The Open Inference Protocol: every service answers it beside its own contract, and networks elsewhere are called."""
