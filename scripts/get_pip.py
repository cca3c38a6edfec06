# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Stand-in for ansible-test's pip bootstrap: installs the pip that comes with Python, then what was asked for."""

from __future__ import annotations

import subprocess
import sys

# In subprocesses: ensurepip leaves settings in the environment of the process that runs it.
subprocess.check_call([sys.executable, "-m", "ensurepip"])
arguments = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *arguments]))
