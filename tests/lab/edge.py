"""Two ingress hosts that also speak TLS and a shop behind them: what the tests of the ingress have in common."""

from __future__ import annotations

import time
import urllib.error
import urllib.request

import yaml

EDGE = {
    "image": "traefik:v3",
    "entrypoints": {"web": ":80", "websecure": ":443"},
    "fence_port": 8090,
    "tls_options": {"default": {"minVersion": "VersionTLS12"}},
    "metrics": True,
}
SHOP = """
services:
  web:
    image: stowage/app:1.0
    healthcheck:
      test: [CMD, curl, -fsS, "http://127.0.0.1:8080/health"]
      interval: 1s
      timeout: 2s
      retries: 3
    deploy:
      replicas: 3
      labels:
        traefik.enable: "true"
        traefik.http.routers.shop.rule: Host(`shop.localhost`)
        traefik.http.routers.shop.entrypoints: web
        traefik.http.routers.secure.rule: Host(`shop.localhost`) || Host(`api.shop.localhost`)
        traefik.http.routers.secure.entrypoints: websecure
        traefik.http.routers.secure.tls: "true"
        traefik.http.services.shop.loadbalancer.server.port: "8080"
"""


def settings(fleet, name="edge", **variables):
    """Variables of the inventory in a file of their own, read after the fleet's."""
    path = fleet.directory / f"group_vars/all/z_{name}.yml"
    path.write_text(yaml.safe_dump(variables))
    return path


def prepare(fleet):
    """Make the first two hosts ingress hosts, and deploy the shop; the fleet."""
    hosts = yaml.safe_load((fleet.directory / "hosts.yml").read_text())
    hosts["all"]["children"]["stowage_ingress"]["hosts"] = dict.fromkeys(fleet.nodes[:2])
    (fleet.directory / "hosts.yml").write_text(yaml.safe_dump(hosts))
    (fleet.directory / "certificates").mkdir(exist_ok=True)
    settings(fleet, stowage_ingress=EDGE)
    fleet.play("bootstrap").ok()
    fleet.wipe()
    fleet.stack(SHOP)
    fleet.deploy().ok()
    return fleet


def status(url, host=None, timeout=5):
    """HTTP status of a GET; 0 if nobody answers."""
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def started(fleet, node):
    """When a host's Traefik was started."""
    return fleet.shell(node, "docker inspect -f '{{.State.StartedAt}}' stowage-ingress")


def within(seconds, true):
    """Wait until it is true."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.3)
