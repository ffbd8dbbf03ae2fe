"""Make the package importable where it is not installed, so that its tests run in a checkout of convo too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
