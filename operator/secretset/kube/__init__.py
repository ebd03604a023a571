"""The only place that talks to clusters: credentials, a client, watches. It knows nothing of sets and regions."""
