"""What is ours on a host besides containers: found by its marks, taken away; nothing else is."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils import leftovers
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.storage.classes import mount_units

UNITS = "etc/systemd/system"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A host with our units, a mount of ours and one of somebody else, and our directories."""
    monkeypatch.setattr(leftovers, "SYSTEMD", str(tmp_path / "no-systemd"))
    for name in ("stowage-dns.service", "stowage-net.service", "stowage-x@1.timer", "stowagefoo.service", "a.service"):
        write(tmp_path / UNITS / name, "[Unit]\n")
    (unit,) = mount_units({"scratch": {"fstype": "tmpfs", "source": "tmpfs"}}, ["scratch"])
    write(tmp_path / UNITS / unit["unit"], unit["text"])
    write(tmp_path / UNITS / "mnt.mount", "[Mount]\nWhere=/mnt\n")
    write(tmp_path / "srv/stowage/scratch/.keep", "")
    (tmp_path / "srv/stowage/scratch/.keep").unlink()
    for tree in leftovers.TREES:
        write(tmp_path / f"{tree[1:]}/file", "x")
    write(tmp_path / "etc/others/file", "x")
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def paths(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_units_are_found_by_name_and_mounts_by_their_first_line(root):
    assert leftovers.units(str(root)) == ["stowage-dns.service", "stowage-x@1.timer"]
    assert leftovers.mounts(str(root)) == {"srv-stowage-scratch.mount": "/srv/stowage/scratch"}


def test_all_of_it_goes_and_the_rest_stays(root):
    for check in (True, False, False):
        before = paths(root)
        told = leftovers.stop_units(leftovers.units(str(root)), check, str(root))
        told += leftovers.unmount(check, str(root))
        told += leftovers.remove_trees(leftovers.trees(True, str(root)), True, check, str(root))
        if check:
            assert paths(root) == before
            first = told
        assert told in (first, []), "check mode told the truth; the second run has nothing to do"
    assert told == []
    assert first[0] == "stop and remove unit stowage-dns.service"
    assert first[-1] == "remove directory /etc/stowage"
    left = ["etc/others/file", *(f"{UNITS}/{name}" for name in ("a.service", "mnt.mount", "stowage-net.service"))]
    assert paths(root) == [*left, f"{UNITS}/stowagefoo.service"]
    assert not (root / "srv/stowage").exists()


def test_records_of_volumes_stay_as_long_as_the_volumes(root):
    claims = root / leftovers.CLAIMS[1:]
    write(claims, '{"shop_data": {}}')
    write(root / "var/lib/stowage/dns/web", "x")
    leftovers.remove_trees(leftovers.trees(True, str(root)), True, False, str(root))
    assert [path for path in paths(root) if "stowage/" in path] == ["var/lib/stowage/volumes.json"]
    assert leftovers.trees(True, str(root)) == []
    assert leftovers.trees(False, str(root)) == ["/var/lib/stowage"]
    leftovers.remove_trees(leftovers.trees(False, str(root)), False, False, str(root))
    assert not claims.exists()


def test_a_mount_inside_is_never_walked_into(root, tmp_path):
    proc = tmp_path / "proc"
    line = "1 1 0:1 / {where} rw - {kind} source rw\n"
    write(proc / "self/mountinfo", line.format(where=f"{root}/run/stowage/secrets", kind="tmpfs"))
    leftovers.refuse_mounted(str(root), str(proc))
    write(proc / "self/mountinfo", line.format(where=f"{root}/var/lib/stowage/x", kind="nfs4"))
    with pytest.raises(StowageError, match="is mounted below a directory of Stowage"):
        leftovers.refuse_mounted(str(root), str(proc))
