"""Takes a trained model away: `export.py runs/vae/version_0 --to exported/vae`."""

from lit_generative.export import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
