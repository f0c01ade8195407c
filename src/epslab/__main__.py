"""``python -m epslab``: the command line without its script."""

import sys

from epslab.cli import main

if __name__ == "__main__":
    sys.exit(main())
