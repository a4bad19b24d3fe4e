"""Optimizers written out, for configs that name them and for who wants to see how they work."""

from optim.adam import Adam
from optim.momentum import Momentum
from optim.muon import MuonWithAdam
from optim.nesterov import Nesterov
from optim.rmsprop import RMSprop

__all__ = ["Adam", "Momentum", "MuonWithAdam", "Nesterov", "RMSprop"]
