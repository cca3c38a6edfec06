# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's hands: containers, networks and volumes of the local Docker Engine, all found again by label."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..errors import Problem, StowageError
from .access import engine_config_text
from .containers import LABEL, REGISTRY_VOLUME, labels, node_container, registry_container
from .difference import Action
from .layout import LabHost, Layout

try:
    import docker
    import docker.errors

    HAVE_DOCKER = True
except ImportError:
    HAVE_DOCKER = False

LOCK = "/run/lock/stowage-lab.lock"
API_TIMEOUT = 120
# Docker's ping on its own socket: the host is up when both sshd and its Engine answer.
READY = [
    "sh",
    "-c",
    "curl -sf --unix-socket /run/docker.sock http://engine/_ping && ss -Hltn 'sport = 22' | grep -q .",
]
READY_INTERVAL = 0.3


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Hold the machine's lab lock: labs are made one at a time, images are built once."""
    directory = os.path.dirname(LOCK) if os.access(os.path.dirname(LOCK), os.W_OK) else tempfile.gettempdir()
    with open(os.path.join(directory, os.path.basename(LOCK)), "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def connect() -> Any:
    """A low-level client of the local Docker Engine. Raises StowageError (STW-LAB-ENGINE)."""
    if not HAVE_DOCKER:
        raise StowageError(
            Problem("STW-LAB-ENGINE", "controller", "Python cannot import docker", "pip install -r requirements.txt")
        )
    try:
        return docker.APIClient(version="auto", timeout=API_TIMEOUT)
    except docker.errors.DockerException as error:
        raise StowageError(
            Problem(
                "STW-LAB-ENGINE",
                "Docker Engine",
                f"does not answer ({error})",
                "ansible-playbook stowage.fleet.workstation",
            )
        ) from error


def find(api: Any, name: str = "") -> dict[str, list[dict[str, Any]]]:
    """Containers, networks and volumes of one lab, or of all labs, as the Engine lists them."""
    wanted = {"label": f"{LABEL}={name}" if name else LABEL}
    return {
        "containers": api.containers(all=True, filters=wanted),
        "networks": api.networks(filters=wanted),
        "volumes": api.volumes(filters=wanted)["Volumes"] or [],
    }


def states(containers: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Container name to Docker state."""
    return {entry["Names"][0].lstrip("/"): entry["State"] for entry in containers}


def host_keys(containers: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Host name to public SSH host key, from the labels of the hosts' containers."""
    found = {entry["Labels"].get(f"{LABEL}.host", ""): entry["Labels"].get(f"{LABEL}.host_key") for entry in containers}
    return {host: key for host, key in found.items() if key}


def registry_port(containers: Iterable[dict[str, Any]]) -> int:
    """The registry's port on 127.0.0.1, or 0 while there is none."""
    for entry in containers:
        if entry["Labels"].get(f"{LABEL}.role") == "registry":
            return next((port["PublicPort"] for port in entry["Ports"] if port.get("PublicPort")), 0)
    return 0


def ensure_network(api: Any, lab: Layout) -> bool:
    """Make the lab's network if it is missing; tell whether it was. Raises StowageError (STW-LAB-SUBNET)."""
    if api.networks(filters={"label": f"{LABEL}={lab.name}"}):
        return False
    pool = docker.types.IPAMPool(subnet=lab.subnet, gateway=lab.gateway)
    try:
        api.create_network(
            lab.network, driver="bridge", ipam=docker.types.IPAMConfig(pool_configs=[pool]), labels={LABEL: lab.name}
        )
    except docker.errors.APIError as error:
        raise StowageError(
            Problem(
                "STW-LAB-SUBNET",
                lab.name,
                f"network {lab.subnet} refused: {error.explanation}",
                "remove the other lab, or set stowage_lab_subnet",
            )
        ) from error
    return True


def carry_out(api: Any, lab: Layout, step: Action, images: dict[str, str], user_key: str) -> None:
    """Do one step of `difference`. images: role (node, registry) to image; user_key: who may log in."""
    if step.verb == "remove":
        remove_container(api, step.container)
    elif step.verb == "unpause":
        api.unpause(step.container)
    else:
        if step.verb == "create":
            _create(api, lab, step.container, images, user_key)
        api.start(step.container)


def remove_container(api: Any, container: str) -> None:
    """Remove a container and the volume of its inner Docker Engine."""
    api.remove_container(container, v=True, force=True)
    with contextlib.suppress(docker.errors.NotFound):
        api.remove_volume(f"{container}-docker", force=True)


def _create(api: Any, lab: Layout, container: str, images: dict[str, str], user_key: str) -> None:
    host = next((host for host in lab.hosts if host.container == container), None)
    if host is None:
        # No lab's label: the images stay when a lab goes.
        api.create_volume(REGISTRY_VOLUME, labels={f"{LABEL}.cache": "registry"})
        api.create_container_from_config(registry_container(lab, images["registry"]), container)
        return
    api.create_volume(f"{container}-docker", labels=labels(lab, host, "node"))
    private, public = make_key(f"{host.name}.{lab.name}")
    api.create_container_from_config(node_container(lab, host, images["node"], public), container)
    api.put_archive(container, "/", _identity(lab, private, public, user_key))


def _identity(lab: Layout, private: str, public: str, user_key: str) -> bytes:
    """A tar archive with what makes a host this host: its SSH host key, who may log in, where images come from."""
    files = {
        "etc/ssh/ssh_host_ed25519_key": (private, 0o600),
        "etc/ssh/ssh_host_ed25519_key.pub": (f"{public}\n", 0o644),
        "root/.ssh/authorized_keys": (f"{user_key}\n", 0o600),
        "etc/docker/daemon.json": (engine_config_text(lab), 0o644),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, (text, mode) in files.items():
            data = text.encode()
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.mtime = len(data), mode, int(time.time())
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def make_key(comment: str) -> tuple[str, str]:
    """A new Ed25519 SSH key pair: private text, public line without its comment."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path], check=True)
        with open(path) as private, open(f"{path}.pub") as public:
            return private.read(), " ".join(public.read().split()[:2])


def wait_ready(api: Any, hosts: Iterable[LabHost], seconds: float) -> None:
    """Wait until sshd and the Docker Engine of every host answer. Raises StowageError (STW-LAB-READY)."""
    deadline = time.monotonic() + seconds
    with ThreadPoolExecutor(max_workers=4) as pool:
        late = [host for host, ready in pool.map(lambda h: (h, _wait_one(api, h, deadline)), hosts) if not ready]
    if late:
        raise StowageError(
            Problem(
                "STW-LAB-READY",
                host.container,
                f"sshd and Docker Engine did not answer within {seconds:.0f} s",
                f"docker exec {host.container} journalctl -n 50",
            )
            for host in late
        )


def _wait_one(api: Any, host: LabHost, deadline: float) -> bool:
    while True:
        with contextlib.suppress(docker.errors.APIError):
            run = api.exec_create(host.container, READY)
            api.exec_start(run["Id"])
            if api.exec_inspect(run["Id"])["ExitCode"] == 0:
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(READY_INTERVAL)


def add_user_key(api: Any, hosts: Iterable[LabHost], user_key: str) -> list[str]:
    """Let a key log in on running hosts where it may not yet; names of the hosts that were changed."""
    changed = []
    script = 'grep -qxF "$1" "$2" || { printf "%s\\n" "$1" >> "$2"; exit 9; }'
    for host in hosts:
        run = api.exec_create(host.container, ["sh", "-c", script, "sh", user_key, "/root/.ssh/authorized_keys"])
        api.exec_start(run["Id"])
        if api.exec_inspect(run["Id"])["ExitCode"] == 9:
            changed.append(host.name)
    return changed


def remove_all(api: Any, found: dict[str, list[dict[str, Any]]], dry: bool) -> list[str]:
    """Remove everything that `find` gave; what was (or, dry, would be) removed, as `<kind> <name>`."""
    done = [f"container {name}" for name in sorted(states(found["containers"]))]
    done += [f"network {entry['Name']}" for entry in found["networks"]]
    done += [f"volume {entry['Name']}" for entry in found["volumes"]]
    if dry:
        return done
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda entry: api.remove_container(entry["Id"], v=True, force=True), found["containers"]))
    for entry in found["networks"]:
        api.remove_network(entry["Id"])
    for entry in found["volumes"]:
        with contextlib.suppress(docker.errors.NotFound):
            api.remove_volume(entry["Name"], force=True)
    return done


def remove_images(api: Any, label: str, dry: bool) -> list[str]:
    """Remove the images built for labs and the registries' shared volume; what was (or, dry, would be) removed."""
    # Untagged ones are stages of a build.
    names = {name for image in api.images(filters={"label": label}) for name in _tags(image) or [image["Id"]]}
    volumes = [entry["Name"] for entry in api.volumes(filters={"label": f"{LABEL}.cache"})["Volumes"] or []]
    if not dry:
        for name in sorted(names, reverse=True):
            with contextlib.suppress(docker.errors.ImageNotFound):
                api.remove_image(name, force=True)
        for name in volumes:
            api.remove_volume(name, force=True)
    return [f"image {name}" for name in sorted(names)] + [f"volume {name}" for name in volumes]


def _tags(image: dict[str, Any]) -> list[str]:
    return [tag for tag in image["RepoTags"] or [] if not tag.startswith("<none>")]
