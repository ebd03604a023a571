"""The pure core: models, names, fingerprints, plans, restarts and status. No IO, no clock, no environment."""
