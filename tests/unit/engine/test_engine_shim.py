# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The shim: what the Engine is told to run, what the script does in a shell, and which busybox is taken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import payload, shim, shim_host
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from test_engine_payload import CONTEXT, TASK

FRONT = ["/.stowage/busybox", "sh", "/.stowage/run"]
SHIM = {"shim": {"env": {"TOKEN": "/run/secrets/token", "A": "/a"}}}
OPTIONS = ["-e", "A=/a", "-e", "TOKEN=/run/secrets/token", "--"]


def body(template, image):
    return payload.container({"image": "app:1", **SHIM, **template}, TASK, {**CONTEXT, "image": image})["body"]


@pytest.mark.parametrize(
    ("template", "image", "runs"),
    [
        ({}, {"Entrypoint": ["/entry"], "Cmd": ["serve"]}, (["/entry"], ["serve"])),
        ({"command": ["other"]}, {"Entrypoint": ["/entry"], "Cmd": ["serve"]}, (["/entry"], ["other"])),
        ({"entrypoint": ["/mine"]}, {"Entrypoint": ["/entry"], "Cmd": ["serve"]}, (["/mine"], [])),
        ({"entrypoint": [], "command": ["x"]}, {"Entrypoint": ["/entry"], "Cmd": ["serve"]}, ([], ["x"])),
        ({"command": []}, {"Entrypoint": ["/entry"], "Cmd": ["serve"]}, (["/entry"], ["serve"])),
        ({}, {"Entrypoint": None, "Cmd": ["serve"]}, ([], ["serve"])),
    ],
)
def test_the_image_s_own_process_follows_the_shim(template, image, runs):
    made = body(template, image)
    assert (made["Entrypoint"], made["Cmd"]) == ([*FRONT, *OPTIONS, "0", *runs[0]], runs[1])


def test_variables_that_a_shell_cannot_hold_go_around_it():
    image = {"Cmd": ["x"], "Env": ["PATH=/bin", "a.b=image", "gone.x=1", "c-d=kept"]}
    made = body({"environment": {"a.b": "own", "OK": "1", "gone.x": None}}, image)
    assert made["Entrypoint"][len(FRONT) + len(OPTIONS) :] == ["2", "a.b=own", "c-d=kept"]


def test_without_a_shim_nothing_is_mounted_or_said():
    plain = payload.container({"image": "app:1"}, TASK, CONTEXT)["body"]
    assert "Entrypoint" not in plain
    assert shim.mount() not in plain["HostConfig"]["Mounts"]
    assert shim.mount() in body({}, {"Cmd": ["x"]})["HostConfig"]["Mounts"]


@pytest.fixture
def ran(tmp_path):
    """Run the script by this machine's sh, with its cat, id and env in place of busybox's."""
    if subprocess.run(["bash", "-c", "exec -a x true"], check=False).returncode:
        pytest.skip("no shell here knows exec -a")
    box = tmp_path / "box"
    box.write_text('#!/bin/sh\nexec "$@"\n')
    box.chmod(0o755)
    script = tmp_path / "run"
    script.write_text(shim.TEXT.replace("/.stowage/busybox", str(box)))

    def run(*words, **variables):
        given = {"PATH": os.environ["PATH"], **variables}
        return subprocess.run(["bash", str(script), *words], env=given, capture_output=True, text=True, check=False)

    return run


def test_the_script_exports_and_becomes_the_process(ran, tmp_path):
    (tmp_path / "token").write_text("s e'c\"r$et\nsecond\n\n")
    code = "import os, sys; print(repr((os.environ['T'], os.environ.get('name'), sys.argv[1:])))"
    words = ["-e", f"T={tmp_path}/token", "--", "0", sys.executable, "-c", code, "a b", "", "*"]
    assert ran(*words, name="kept").stdout == repr(("s e'c\"r$et\nsecond", "kept", ["a b", "", "*"])) + "\n"


def test_the_script_finds_a_name_along_the_image_s_path(ran, tmp_path):
    own = tmp_path / "id"
    own.write_text("#!/bin/sh\necho the image\\'s own: $0 $1\n")
    own.chmod(0o755)
    assert ran("--", "0", "id", "x", PATH=f"{tmp_path}:{os.environ['PATH']}").stdout == f"the image's own: {own} x\n"


def test_the_script_keeps_odd_names(ran):
    code = "import os; print(os.environ['a.b'], os.environ['c-d'])"
    found = ran("--", "2", "a.b=1 2", "c-d=", os.path.basename(sys.executable), "-c", code)
    assert found.stdout == "1 2 \n", found.stderr


def test_the_script_ends_where_it_cannot_go_on(ran, tmp_path):
    missing = ran("-e", f"T={tmp_path}/none", "--", "0", "true")
    assert (missing.returncode, missing.stderr.count("cannot read")) == (78, 1)
    nothing = ran("--", "0", "no-such-program")
    assert (nothing.returncode, "not in PATH" in nothing.stderr) == (127, True)


def elf(kinds):
    head = b"\x7fELF\x02\x01".ljust(32, b"\0") + (64).to_bytes(8, "little") + bytes(14)
    head += (56).to_bytes(2, "little") + len(kinds).to_bytes(2, "little")
    return head.ljust(64, b"\0") + b"".join(kind.to_bytes(4, "little") + bytes(52) for kind in kinds)


def test_only_a_static_busybox_is_taken(tmp_path):
    busybox = tmp_path / "busybox"
    for data in (elf([1, 3]), b"#!/bin/sh\n", b""):
        busybox.write_bytes(data)
        with pytest.raises(StowageError, match=r"STW-SHIM.*not linked statically"):
            shim_host.present(str(busybox), root=str(tmp_path))
    with pytest.raises(StowageError, match=r"STW-SHIM.*busybox-static"):
        shim_host.present(str(tmp_path / "none"), root=str(tmp_path))


def test_the_shim_is_put_there_once(tmp_path):
    busybox = tmp_path / "busybox"
    busybox.write_bytes(elf([1, 1]))
    wanted = ["write /usr/local/lib/stowage/shim/busybox", "write /usr/local/lib/stowage/shim/run"]
    assert shim_host.present(str(tmp_path / "none"), check=True, root=str(tmp_path)) == wanted
    assert shim_host.present(str(busybox), check=True, root=str(tmp_path)) == wanted
    assert not shim_host.is_there(str(tmp_path))
    assert shim_host.present(str(busybox), root=str(tmp_path)) == wanted
    assert shim_host.is_there(str(tmp_path))
    assert shim_host.present(str(busybox), root=str(tmp_path)) == []
    assert os.access(tmp_path / "usr/local/lib/stowage/shim/busybox", os.X_OK)
    Path(tmp_path / "usr/local/lib/stowage/shim/run").write_text("other")
    assert shim_host.present(str(busybox), root=str(tmp_path)) == wanted[1:]


def test_prepare_refuses_where_the_shim_cannot_stand(host):
    host.engine.known_images["plain"] = {"Config": {}}
    needs = {"service": "shop_web", "image": "plain", "labels": {}, "shim": {}}
    found = host.apply("prepare", {"images": ["plain"], "require": [needs]})
    assert [problem["code"] for problem in found["problems"]] == ["STW-SHIM", "STW-SHIM"]
    assert "bootstrap" in str(found["problems"][0])
    assert "neither entrypoint nor command" in str(found["problems"][1])
