"""Opens a page to touch a trained model in the browser, or two side by side: `demo.py runs/a/version_0`."""

import signal

from lit_generative.demo import main

__all__ = ["main"]

if __name__ == "__main__":
    # as Ctrl-C: the page's pictures and uploads are deleted
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    main()
