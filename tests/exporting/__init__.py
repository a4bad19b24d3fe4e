"""Tests of what takes models away."""
