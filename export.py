"""Takes a trained model away: `export.py runs/vae/version_0 --to exported/vae`."""

import signal

from lit_generative.export import main

__all__ = ["main"]

if __name__ == "__main__":
    # as Ctrl-C: nothing half-written is left
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    main()
