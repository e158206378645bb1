"""``python -m svcdns``."""

import sys

from svcdns.cli import main

sys.exit(main())
