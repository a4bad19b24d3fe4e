"""A user's own pictures: which files they are (listing), their pixels (decoding), decoded once (cache)."""
