"""The module's library on the path, as Slicer has it."""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "JSDDPMSlicer"))
