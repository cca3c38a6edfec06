# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A real Traefik on loopback, fed by the file provider as the role `ingress` configures it."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path


def traefik_binary():
    """Path of the binary: STOWAGE_TRAEFIK, beside this Python, or on PATH; None if there is none."""
    beside = Path(sys.prefix) / "bin" / "traefik"
    given = os.environ.get("STOWAGE_TRAEFIK")
    return given or (str(beside) if beside.exists() else shutil.which("traefik"))


def free_ports(count):
    """Ports nobody listens on, all different."""
    sockets = [socket.socket() for _index in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Traefik:
    """One Traefik process with entry points web and tcp, and the fence, on free ports."""

    def __init__(self, root, providers=None, api=False, static=None):
        """Root: laid out as a host's /, its dynamic directory is watched. providers: more of them. api: show it.

        static: its whole static configuration instead, with the entry point stowage.
        """
        self.root = Path(root)
        self.web, self.tcp, self.fence, self.api = free_ports(4)
        self.dynamic = self.root / "var/lib/stowage/traefik/dynamic"
        self.dynamic.mkdir(parents=True, exist_ok=True)
        config = {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "log": {"level": "ERROR"},
            "ping": {"manualRouting": True},
            "entryPoints": {
                "web": {"address": f"127.0.0.1:{self.web}", "asDefault": True},
                "tcp": {"address": f"127.0.0.1:{self.tcp}"},
                "stowage": {"address": f"127.0.0.1:{self.fence}"},
            },
            "providers": {
                "providersThrottleDuration": "250ms",
                "file": {"directory": str(self.dynamic), "watch": True},
            },
        }
        config["providers"].update(providers or {})
        if api:
            config["api"] = {"insecure": True, "dashboard": False}
            config["entryPoints"]["traefik"] = {"address": f"127.0.0.1:{self.api}"}
        if static:
            config, self.fence = static, int(static["entryPoints"]["stowage"]["address"].rpartition(":")[2])
        static_file = self.root / "traefik.yml"
        static_file.write_text(json.dumps(config))
        self.log = (self.root / "traefik.log").open("w+")
        command = [str(traefik_binary()), f"--configFile={static_file}"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, env={"SECRET": "hidden"})

    def get(self, path="/", host="localhost", port=None):
        """(status, body, headers) of one GET; status 0 if nothing answers."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.web, timeout=20)
        try:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), dict(answer.getheaders())
        except OSError:
            return 0, "", {}
        finally:
            connection.close()

    def wait_ready(self, port, seconds=60):
        """Wait until something listens on the port."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.get(port=port)[0]:
                return
            assert self.process.poll() is None, self.messages()
            time.sleep(0.05)
        raise AssertionError(self.messages())

    def objects(self, provider, enough=1, seconds=60):
        """{kind/name: settings} of one provider as the API shows them, without state and provider names.

        Waits until there are `enough` objects; after `seconds` takes what there is.
        """
        deadline = time.monotonic() + seconds
        while True:
            status, body, _headers = self.get("/api/rawdata", port=self.api)
            raw = json.loads(body) if status == 200 else {}
            found = {
                f"{kind}/{name.rpartition('@')[0]}": neutral(value)
                for kind, objects in raw.items()
                for name, value in objects.items()
                if name.endswith("@" + provider) and not name.startswith("stowage-")
            }
            if len(found) >= enough or time.monotonic() > deadline:
                return found
            time.sleep(0.1)

    def messages(self):
        """What Traefik logged."""
        self.log.flush()
        return (self.root / "traefik.log").read_text()

    def stop(self):
        """End the process."""
        self.process.terminate()
        self.process.wait(10)
        self.log.close()


def neutral(value):
    """An object of the API without state and provider names; which of two servers an error names is chance."""
    text = json.dumps({key: part for key, part in value.items() if key not in ("status", "usedBy", "serverStatus")})
    text = text.replace("@swarm", "").replace("@docker", "").replace("@file", "")
    found = json.loads(text)
    if "error" in found:
        found["error"] = [re.sub(r"127\.1\.0\.[0-9]+", "127.1.0.x", error) for error in found["error"]]
    return found
