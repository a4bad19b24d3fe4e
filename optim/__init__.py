"""Optimizers written out, for configs that name them and for who wants to see how they work."""

from optim.muon import MuonWithAdam

__all__ = ["MuonWithAdam"]
