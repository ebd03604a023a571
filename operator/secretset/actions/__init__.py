"""What users do with sets, with their own rights: the CLI, the REST API and whatever else they use call this.

Nothing here reads a Secret, or has credentials of its own: RBAC of the hub decides.
"""
