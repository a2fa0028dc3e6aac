"""Run the command line by ``python -m headstart``."""

import sys

from .cli import main

if __name__ == "__main__":  # worker processes import this file too
    sys.exit(main())
