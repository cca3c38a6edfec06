# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Docker Engine in memory, as far as the room uses one. How a container behaves hangs on its image's name."""

from __future__ import annotations

import threading

from ansible_collections.stowage.fleet.plugins.module_utils.canonical import digest
from ansible_collections.stowage.fleet.plugins.module_utils.engine.adopted import merged
from ansible_collections.stowage.fleet.plugins.module_utils.engine.client import EngineError

# image: (states it shows, one per look, the last one stays) as (State, Status, RestartCount)
UP = ("running", "Up 1 second", 0)
HEALTHY = ("running", "Up 1 second (healthy)", 0)
STARTING = ("running", "Up 1 second (health: starting)", 0)
LIVES = {
    "plain": [UP],
    "healthy": [STARTING, STARTING, HEALTHY],
    "stuck": [STARTING],
    "unhealthy": [STARTING, ("running", "Up 2 seconds (unhealthy)", 0)],
    "exits": [UP, ("exited", "Exited (3) 1 second ago", 0)],
    "done": [UP, ("exited", "Exited (0) 1 second ago", 0)],
    "loops": [("restarting", "Restarting (1) 1 second ago", n) for n in (1, 2, 3)],
    "flaps": [("running", "Up 1 second", 1)],
    "slow-db": [("restarting", "Restarting (1) 1 second ago", 1), HEALTHY],
}


class FakeEngine:
    """See the module's docstring. `log` has every changing call; `calls` counts all of them."""

    def __init__(self, api="1.41"):
        self.api = api
        self.held = {}
        self.images = set(LIVES)
        self.registry = {}
        self.named_volumes = {}
        self.known_images = {}
        self.adopted = ""
        self.log = []
        self.calls = 0
        self.guard = threading.Lock()

    def facts(self):
        self.calls += 1
        return {"Version": "20.10.24", "ApiVersion": self.api, "Os": "linux", "Arch": "amd64"}

    def containers(self, name=None):
        with self.guard:
            self.calls += 1
            return merged([self._entry(key) for key in list(self.held) if name in (None, key)], self.adopted)

    def _entry(self, name):
        held = self.held[name]
        state, status, restarts = held["now"]
        if held["life"]:
            state, status, restarts = held["now"] = held["life"][0]
            held["life"] = held["life"][1:]
        held["restarts"] = restarts
        return {
            "Id": held["id"],
            "Names": [f"/{name}"],
            "Image": held["body"]["Image"],
            "Labels": dict(held["body"]["Labels"]),
            "State": state,
            "Status": status,
            "Ports": [],
            "Mounts": [
                {
                    **mount,
                    **({"Name": mount["Source"]} if mount.get("Type") == "volume" and mount.get("Source") else {}),
                }
                for mount in held["body"]["HostConfig"].get("Mounts", [])
            ],
            "NetworkSettings": {"Networks": held["body"].get("NetworkingConfig", {}).get("EndpointsConfig", {})},
        }

    def inspect(self, name):
        self.calls += 1
        held = self._get(name)
        return {"RestartCount": held.get("restarts", 0), "Config": {}, **held.get("inspect", {})}

    def stranger(self, inspect, state=UP):
        """A container that somebody else made. inspect: what `docker inspect` says of it."""
        host, config = inspect["HostConfig"], inspect["Config"]
        body = {"Image": config["Image"], "Labels": config["Labels"], "HostConfig": {"Mounts": []}}
        self.held[inspect["Name"][1:]] = {
            "id": inspect["Id"],
            "body": body,
            "now": state,
            "life": [],
            "inspect": {**inspect, "HostConfig": dict(host)},
        }

    def image(self, image):
        self.calls += 1
        return self.known_images.get(image)

    def update(self, container, values):
        self.log.append(("update", container, values))
        self._get(container)["inspect"]["HostConfig"].update(values)

    def connect(self, network, container, endpoint):
        self.log.append(("connect", network, container, endpoint))
        self._get(container)["body"].setdefault("NetworkingConfig", {})["EndpointsConfig"] = {network: endpoint}

    def rename(self, container, name):
        self.log.append(("rename", container, name))
        old = next(key for key, held in self.held.items() if container in (key, held["id"]))
        self.held[name] = self.held.pop(old)

    def create(self, name, body):
        with self.guard:
            if name in self.held:
                raise EngineError("name is in use", 409)
            if body["Image"] not in self.images:
                raise EngineError("No such image", 404)
            identity = digest([name, len(self.log)])
            now = ("created", "Created", 0)
            self.held[name] = {"id": identity, "body": body, "now": now, "life": []}
            self.log.append(("create", name))
            return identity

    def start(self, name):
        with self.guard:
            held = self._get(name)
            self.log.append(("start", name))
            if held["now"][0] != "running":
                held["now"], held["life"] = UP, list(LIVES[held["body"]["Image"]])

    def unpause(self, name):
        self.log.append(("unpause", name))
        self._get(name)["now"] = UP

    def signal(self, name, signal):
        self._get(name)
        self.log.append(("signal", name, signal))

    def stop(self, name, grace=None):
        with self.guard:
            self._get(name).update(now=("exited", "Exited (0) 1 second ago", 0), life=[])
            self.log.append(("stop", name, grace))

    def remove(self, name, anonymous=False):
        with self.guard:
            self.log.append(("remove", name))
            self.held.pop(name, None)

    def log_tail(self, name, lines):
        return "\n".join([f"line {n}" for n in range(20)] + ["\x1b[31mboom {{ secret }}\x00" + "x" * 500])

    def has_image(self, image):
        self.calls += 1
        return image in self.images

    def pull(self, image, tell=None):
        if image not in self.registry:
            raise EngineError(f"manifest for {image} not found", 404)
        with self.guard:
            self.log.append(("pull", image))
            self.images.add(image)
        if tell:
            tell({"layer": (7, 7)})

    def volumes(self):
        self.calls += 1
        return [dict(volume) for volume in self.named_volumes.values()]

    def create_volume(self, name, driver, options, labels):
        self.log.append(("volume", name))
        self.named_volumes[name] = {
            "Name": name,
            "Driver": driver,
            "Options": options,
            "Labels": labels,
            "CreatedAt": "t",
            "Mountpoint": f"/var/lib/docker/volumes/{name}/_data",
        }

    def _get(self, name):
        for key, held in self.held.items():
            if name in (key, held["id"]):
                return held
        raise EngineError("No such container", 404)

    def states(self):
        """{container name: state}, without anybody's looking moving on."""
        return {name: held["now"][0] for name, held in self.held.items()}
