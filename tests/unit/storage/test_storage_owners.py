# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host that was given up does not reach a single writer's volume after its next boot."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import owners

DIRECTORY = "/srv/stowage/db/test/data"


@pytest.fixture
def hosts(tmp_path):
    """Two hosts' roots with one network file system."""
    shared = tmp_path / "shared"
    (shared / "data").mkdir(parents=True)
    made = {}
    for name in ("n1", "n2"):
        root = tmp_path / name
        for folder in ("etc/stowage", "var/lib/stowage", "run/stowage", "srv/stowage/db"):
            (root / folder).mkdir(parents=True)
        (root / "etc/stowage/network.json").write_text(json.dumps({"node": name}))
        (root / "srv/stowage/db/test").symlink_to(shared)
        made[name] = str(root)
    return made


def boot(root):
    """Empty /run; what the unit links."""
    shutil.rmtree(os.path.join(root, "run/stowage"))
    return owners.link_owned(root)


def test_the_owner_has_its_link_again_after_a_boot(hosts):
    owners.own("data", DIRECTORY, hosts["n1"])
    owners.own("data", DIRECTORY, hosts["n1"])
    assert os.readlink(os.path.join(hosts["n1"], owners.LINKS, "data")) == DIRECTORY
    assert boot(hosts["n1"]) == ["data"]
    assert os.readlink(os.path.join(hosts["n1"], owners.LINKS, "data")) == DIRECTORY
    assert boot(hosts["n2"]) == []


def test_who_was_given_up_has_none(hosts):
    owners.own("data", DIRECTORY, hosts["n1"])
    owners.own("data", DIRECTORY, hosts["n2"])
    assert boot(hosts["n1"]) == []
    assert not os.path.lexists(os.path.join(hosts["n1"], owners.LINKS, "data"))
    assert boot(hosts["n2"]) == ["data"]


def test_without_the_file_system_nobody_owns(hosts):
    owners.own("data", DIRECTORY, hosts["n1"])
    os.unlink(os.path.join(hosts["n1"], "srv/stowage/db/test"))
    assert boot(hosts["n1"]) == []
