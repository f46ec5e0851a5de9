"""``python -m amplitude_async.cli``: the same as the command ``amplitude-async``."""

import sys

from amplitude_async.cli.program import main

if __name__ == "__main__":
    sys.exit(main())
