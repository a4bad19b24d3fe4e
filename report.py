"""Says what checkpoints are worth, side by side: `report.py runs/a/version_0 runs/b/version_0 --to report`."""

from lit_generative.report import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
