"""Speed, side by side with the plain loops people write by hand."""
