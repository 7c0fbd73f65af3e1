"""What a Python program calls: the whole chain, each step alone, and the chain from asyncio."""
