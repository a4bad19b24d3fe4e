"""Takes trained models away: weights, graphs, model cards, pages for the Hugging Face Hub."""
