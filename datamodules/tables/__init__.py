"""A user's own tables: what a file looks like (layout), its numbers (reading), its classes (targets)."""
