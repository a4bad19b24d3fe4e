"""Measures of quality: pure functions on tensors, and the page that shows them."""
