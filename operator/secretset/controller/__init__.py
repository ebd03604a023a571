"""Joins the pure domain to clusters: queues, region runners, the pass over one object, and what carries it out."""
