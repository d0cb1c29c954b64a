"""``python -m census``: see `census.demo`."""

import io
import sys

from census.demo import main

if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may hold what the output cannot encode
    sys.exit(main())
