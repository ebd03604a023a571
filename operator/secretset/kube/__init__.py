"""The only place that talks to clusters: credentials, a client, watches; where objects are, not what they mean."""
