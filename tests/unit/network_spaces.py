"""Network namespaces for tests of the kernel's side: whether they work here, and what runs inside them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DRIVER = Path(__file__).parent / "network" / "network_driver.py"


def namespaces_work():
    """True if this machine lets us make a namespace with VXLAN and nftables."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "ip", "bridge", "nft"))):
        return False
    probe = "ip link add probe0 type vxlan id 1 local 127.0.0.1 dstport 4789 && nft add table inet t"
    return subprocess.run(["unshare", "-n", "-m", "sh", "-c", probe], capture_output=True, check=False).returncode == 0
