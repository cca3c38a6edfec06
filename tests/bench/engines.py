# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs on a host: create and start containers as fast as its engine does it. The list is the one argument, as JSON."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import docker

api = docker.APIClient()
present = {name.lstrip("/") for entry in api.containers(all=True) for name in entry["Names"]}


def run(wanted):
    """Create and start one container, unless it is there."""
    if wanted["name"] in present:
        return
    body = {
        "Image": wanted["image"],
        "Env": [f"{key}={value}" for key, value in wanted["environment"].items()],
        "HostConfig": {"NetworkMode": "bench", "RestartPolicy": {"Name": "always"}},
    }
    api.create_container_from_config(body, wanted["name"])
    api.start(wanted["name"])


with ThreadPoolExecutor(8) as pool:
    list(pool.map(run, json.loads(sys.argv[1])))
