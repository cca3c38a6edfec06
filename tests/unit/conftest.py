# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""For every unit test: helpers beside the tests import by name, property tests give the same cases each run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

# pyproject.toml does this too, but ansible-test does not read it.
if str(Path(__file__).parent) not in sys.path:
    sys.path.insert(0, str(Path(__file__).parent))

# A machine that is busy is no failure, so no deadline. STOWAGE_HYPOTHESIS=search looks for new cases instead.
settings.register_profile("repeat", derandomize=True, database=None, deadline=None)
settings.register_profile("thorough", max_examples=500, derandomize=True, database=None, deadline=None)
settings.register_profile("search", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("STOWAGE_HYPOTHESIS", "repeat"))


def pytest_configure(config: object) -> None:
    """Declare the markers of pyproject.toml where ansible-test brings its own settings."""
    for marker in ("lab", "traefik", "corpus", "slow"):
        config.addinivalue_line("markers", f"{marker}: see pyproject.toml")  # type: ignore[attr-defined]
