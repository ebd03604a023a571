"""The REST API: the paths of Pipecat Cloud's (seeds/003 and what its CLI calls), on one's own cluster.

It holds no state, no plaintext and no rights of its own: what it does on the hub, it does with its caller's token.
"""
