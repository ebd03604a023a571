"""kopf's edge: it watches our three kinds on the hub, and every event becomes a record in the store. Nothing else."""
