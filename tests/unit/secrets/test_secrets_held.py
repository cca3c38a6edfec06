# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values in the memory of a process of their own: handed out to this user, gone with the run."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.secrets.holder import started
from ansible_collections.stowage.fleet.plugins.plugin_utils import stored


@pytest.fixture
def served():
    """A process that stands for ansible-playbook."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_values_are_held_as_long_as_the_run_lives(served):
    path = stored.hold({"d1": b"\x00one", "d2": b"two"}, {"pid": served.pid, "started": started(served.pid)})
    folder = Path(path).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    assert stored.held(path)("d1") == b"\x00one"
    assert stored.held(path)("d2") == b"two"
    with pytest.raises(StowageError, match="not at hand"):
        stored.held(path)("d3")
    served.kill()
    served.wait()
    until = time.monotonic() + 20
    while folder.exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not folder.exists()
    with pytest.raises(StowageError, match="not at hand"):
        stored.held(path)("d1")


def test_no_value_is_in_arguments_or_environment(served):
    path = stored.hold({"d": b"canary-4711"}, {"pid": served.pid, "started": started(served.pid)})
    found = [
        entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and b"holder.py" in _of(entry, "cmdline")
    ]
    assert found
    for entry in found:
        assert b"canary" not in _of(entry, "cmdline") + _of(entry, "environ")
    assert os.listdir(Path(path).parent) == ["values"]


def _of(entry, name):
    try:
        return (entry / name).read_bytes()
    except OSError:
        return b""
