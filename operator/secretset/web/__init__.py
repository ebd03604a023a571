"""The dashboard: pages for people, served beside the REST API, with the rights of whoever looks (ADR 16)."""
