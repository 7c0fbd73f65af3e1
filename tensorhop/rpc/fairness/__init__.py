"""One caller's many requests do not hold up another's: who calls, what each may hold, whose turn it is."""
