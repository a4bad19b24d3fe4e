"""Tests of the page to touch models with."""
