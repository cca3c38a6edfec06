# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Docker Engine, as far as this room uses one: a thin, patient layer over the docker SDK's low-level APIClient."""

from __future__ import annotations

import io
import os
import signal as signals
import time
from collections.abc import Callable
from typing import Any

from ..errors import Problem, StowageError
from .adopted import merged
from .host import Paths

SOCKET = "unix:///var/run/docker.sock"
TIMEOUT = 60
PULL_TIMEOUT = 300
PATIENCE = 30.0  # seconds an Engine that was seen alive may take to come back
DEFAULT_GRACE = 10  # the Engine's own, for a container that states none
REASON_CHARACTERS = 300


class EngineError(Exception):
    """The Engine refused a call. `status` is its HTTP status (0: no answer), the text its escaped reason."""

    def __init__(self, reason: str, status: int = 0) -> None:
        """Take the Engine's words and the HTTP status."""
        super().__init__(printable(reason, REASON_CHARACTERS))
        self.status = status


def signal_number(name: str) -> int:
    """Number of a signal: HUP, RTMIN+3, RTMAX-1. Raises ValueError."""
    base, sign, offset = name.partition("+") if "+" in name else name.partition("-")
    try:
        number = int(signals.Signals[f"SIG{base}"])
    except KeyError:
        raise ValueError(f"{base} is no signal of this system") from None
    return number + (int(f"{sign}{offset}") if sign else 0)


def printable(text: str, limit: int) -> str:
    """Text from a host on one line: whitespace folded, what is not printable ASCII escaped, cut at limit."""
    folded = " ".join(text.split())
    shown = "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode() for c in folded)
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def _counted(layers: dict[str, tuple[int, int]], event: dict[str, Any]) -> bool:
    """Note what an event of a pull says of a layer: whether it says anything of its bytes."""
    name, counts = str(event.get("id")), event.get("progressDetail") or {}
    if event.get("status") == "Downloading" and counts.get("total"):
        layers[name] = (int(counts.get("current") or 0), int(counts["total"]))
    elif event.get("status") == "Download complete" and name in layers:
        layers[name] = (layers[name][1], layers[name][1])
    else:
        return False
    return True


def connect(patience: float = 0.0) -> Engine:
    """An Engine that answered. Raises StowageError (STW-ENGINE) if none does within `patience` seconds."""
    try:
        import docker  # noqa: PLC0415  (costs 150 ms: only where an Engine is really needed)
        from docker.errors import DockerException  # noqa: PLC0415
        from requests.exceptions import RequestException  # noqa: PLC0415
    except ImportError as error:
        fix = "install python3-docker on the host (role stowage.fleet.engine does)"
        raise StowageError(Problem("STW-ENGINE", "docker SDK", f"cannot be imported: {error}", fix)) from error
    address = os.environ.get("DOCKER_HOST") or SOCKET
    end = time.monotonic() + patience
    while True:
        try:
            return Engine(_client_class(docker)(base_url=address, version="auto", timeout=TIMEOUT))
        except (DockerException, RequestException, OSError) as error:
            if time.monotonic() < end:
                time.sleep(0.5)
                continue
            reason = f"does not answer: {printable(str(error), REASON_CHARACTERS)}"
            fix = "see `systemctl status docker` on the host"
            raise StowageError(Problem("STW-ENGINE", f"Docker Engine at {address}", reason, fix)) from error


def _client_class(docker: Any) -> Any:
    class Client(docker.APIClient):  # type: ignore[misc]
        """An APIClient that keeps the answer with which it negotiated the API version: one call instead of two."""

        engine_facts: dict[str, Any] = {}  # noqa: RUF012

        def version(self, api_version: bool = True) -> Any:
            if not self.engine_facts:
                self.engine_facts = super().version(api_version=api_version)
            return self.engine_facts

    return Client


class Engine:
    """The calls this room makes. Names are container names; every failure is an EngineError.

    A lost connection is retried for PATIENCE seconds: every call is harmless when repeated, because names are
    idempotency keys and creating an existing name is told apart (status 409).
    """

    def __init__(self, api: Any, adopted: str = Paths().adopted) -> None:
        """Take an APIClient (docker SDK 5 to 7), and the file with the records of containers that were taken over."""
        self._api, self._adopted = api, adopted

    @property
    def api(self) -> Any:
        """The low-level APIClient, for what this class has no word for."""
        return self._api

    def facts(self) -> dict[str, Any]:
        """What `GET /version` says: Version, ApiVersion, Os, Arch."""
        return dict(self._call(self._api.version))

    def containers(self, name: str | None = None) -> list[dict[str, Any]]:
        """All containers, or the one of this exact name, as `GET /containers/json` lists them; with adopted labels."""
        if name is None:
            return merged(self._call(self._api.containers, all=True), self._adopted)
        found = merged(self._call(self._api.containers, all=True, filters={"name": f"^/{name}$"}), self._adopted)
        return [entry for entry in found if f"/{name}" in entry.get("Names", [])]

    def inspect(self, name: str) -> dict[str, Any]:
        """One container in full."""
        return dict(self._call(self._api.inspect_container, name))

    def create(self, name: str, body: dict[str, Any]) -> str:
        """Create a container from the body of POST /containers/create; its id."""
        return str(self._call(self._api.create_container_from_config, body, name)["Id"])

    def start(self, name: str) -> None:
        """Start a container; a running one is left alone."""
        self._call(self._api.start, name)

    def unpause(self, name: str) -> None:
        """Let a paused container run on."""
        self._call(self._api.unpause, name)

    def stop(self, name: str, grace: float | None = None) -> None:
        """Stop a container; after `grace` seconds (None: its own stop timeout) it is killed."""
        if grace is None:
            grace = self.inspect(name)["Config"].get("StopTimeout") or DEFAULT_GRACE
        self._call(self._api.stop, name, timeout=int(-(-grace // 1)))

    def signal(self, name: str, signal: str) -> None:
        """Send a container's first process a signal by its name, such as HUP or RTMIN+1.

        Not by the Engine's own kill: whatever the signal, it then takes the container for stopped by hand, and starts
        it neither when it ends nor after a reboot.
        """
        pid = int(self.inspect(name).get("State", {}).get("Pid") or 0)
        if pid <= 0:
            raise EngineError("it has no process")
        try:
            os.kill(pid, signal_number(signal))
        except (OSError, ValueError) as error:
            raise EngineError(f"cannot be sent {signal}: {getattr(error, 'strerror', None) or error}") from error

    def remove(self, name: str, anonymous: bool = False) -> None:
        """Remove a container, running or not; its nameless volumes too if `anonymous`. None there is fine."""
        try:
            self._call(self._api.remove_container, name, v=anonymous, force=True)
        except EngineError as error:
            if error.status != 404:
                raise

    def log_tail(self, name: str, lines: int) -> str:
        """The container's last output; "" where its log driver keeps none."""
        try:
            return str(self._call(self._api.logs, name, tail=lines).decode("utf-8", "replace"))
        except EngineError:
            return ""

    def has_image(self, image: str) -> bool:
        """True if the image is on the host."""
        return self.image(image) is not None

    def image(self, image: str) -> dict[str, Any] | None:
        """An image on the host in full, by name or id; None if it is not there."""
        try:
            return dict(self._call(self._api.inspect_image, image))
        except EngineError as error:
            if error.status == 404:
                return None
            raise

    def update(self, container: str, values: dict[str, Any]) -> None:
        """Change a running container's limits or restart policy. values: as in POST /containers/{id}/update."""
        address = self._api._url("/containers/{0}/update", container)
        self._call(self._checked_post, address, values)

    def connect(self, network: str, container: str, endpoint: dict[str, Any]) -> None:
        """Connect a running container to a network. endpoint: its EndpointConfig."""
        address = self._api._url("/networks/{0}/connect", network)
        self._call(self._checked_post, address, {"Container": container, "EndpointConfig": endpoint})

    def rename(self, container: str, name: str) -> None:
        """Give a container another name."""
        self._call(self._api.rename, container, name)

    def _checked_post(self, address: str, body: dict[str, Any]) -> None:
        self._api._raise_for_status(self._api._post_json(address, data=body))

    def pull(self, image: str, tell: Callable[[dict[str, tuple[int, int]]], None] | None = None) -> None:
        """Fetch an image. tell: is told {layer: (bytes here, bytes in all)} as they come. Raises EngineError."""
        repository, tag = split_reference(image)
        layers: dict[str, tuple[int, int]] = {}
        for event in self._call(self._api.pull, repository, tag=tag, stream=True, decode=True):
            if event.get("error"):
                raise EngineError(str(event["error"]))
            if tell and _counted(layers, event):
                tell(layers)
        if not self.has_image(image):
            raise EngineError("the pull ended without an error and without the image")

    def build(self, context: bytes, image: str) -> None:
        """Build an image from a tar with a Dockerfile. Raises EngineError with the step's reason."""
        options = {"fileobj": io.BytesIO(context), "custom_context": True, "tag": image, "pull": True, "rm": True}
        for event in self._call(self._api.build, **options, decode=True, timeout=PULL_TIMEOUT):
            if event.get("error"):
                raise EngineError(str(event["error"]))

    def push(self, image: str) -> str:
        """Push an image; the digest that its registry has it under. Raises EngineError with the registry's reason."""
        found, (repository, tag) = "", split_reference(image)
        for event in self._call(self._api.push, repository, tag=tag, stream=True, decode=True):
            if event.get("error"):
                raise EngineError(str(event["error"]))
            found = str((event.get("aux") or {}).get("Digest") or found)
        if not found:
            raise EngineError("the push ended without an error and without a digest")
        return found

    def volumes(self) -> list[dict[str, Any]]:
        """All volumes, as `GET /volumes` lists them."""
        return list(self._call(self._api.volumes).get("Volumes") or [])

    def create_volume(self, name: str, driver: str, options: dict[str, str], labels: dict[str, str]) -> None:
        """Create a named volume."""
        self._call(self._api.create_volume, name, driver=driver, driver_opts=options, labels=labels)

    def remove_volume(self, name: str) -> None:
        """Remove a volume and its data; none there is fine."""
        try:
            self._call(self._api.remove_volume, name)
        except EngineError as error:
            if error.status != 404:
                raise

    def _call(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        from docker.errors import APIError, DockerException  # noqa: PLC0415
        from requests.exceptions import ConnectionError as ConnectionLost  # noqa: PLC0415
        from requests.exceptions import RequestException  # noqa: PLC0415

        end = time.monotonic() + PATIENCE
        while True:
            try:
                return call(*args, **kwargs)
            except APIError as error:
                status = error.response.status_code if error.response is not None else 0
                raise EngineError(str(error.explanation or error), status) from error
            except ConnectionLost as error:
                if time.monotonic() > end:
                    raise EngineError(f"the Engine went away: {error}") from error
                time.sleep(0.5)
            except (DockerException, RequestException, OSError) as error:
                raise EngineError(str(error)) from error


def split_reference(image: str) -> tuple[str, str]:
    """(repository, tag or digest) of an image reference; tag `latest` if none is stated."""
    if "@" in image:
        repository, digest = image.split("@", 1)
        head, _slash, last = repository.rpartition("/")
        return f"{head}/{last.split(':')[0]}" if head else last.split(":")[0], digest
    head, _slash, last = image.rpartition("/")
    name, _colon, tag = last.partition(":")
    return (f"{head}/{name}" if head else name), tag or "latest"
