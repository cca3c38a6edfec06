# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What stops a host module, told as problems: a refusal, the Engine, or the host itself."""

from __future__ import annotations

from ..errors import Problem, StowageError
from .client import EngineError, printable

REFUSALS = (StowageError, EngineError, OSError)


def problems_of(error: Exception) -> list[Problem]:
    """The problems that one of REFUSALS stands for."""
    if isinstance(error, StowageError):
        return list(error.problems)
    if isinstance(error, EngineError):
        return [Problem("STW-ENGINE", "Docker Engine", str(error), "see `systemctl status docker` on the host")]
    if isinstance(error, OSError):
        reason = f"{error.strerror or error} ({printable(str(error.filename or '?'), 100)})"
        return [Problem("STW-HOST", "host", reason, "look at the host's disk")]
    raise error
