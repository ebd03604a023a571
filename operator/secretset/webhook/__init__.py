"""What API servers ask before they store an object: the server, and the ready gate."""
