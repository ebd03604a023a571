"""The benchmark's parts: a bare client, the operator as a process, what it wrote, and the scenes that are measured."""
