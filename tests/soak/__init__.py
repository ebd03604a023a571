"""`make soak`: the operator under a steady mixed load, for long, and whether what it holds stays what it was.

A program, not a test: what it looks for takes half an hour to be seen. It ends with 1 if something grows.
"""
