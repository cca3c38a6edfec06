"""Issue 6, ingress: certificates as inputs, closed doors, back ends that die or hang. make test-ingress"""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import subprocess
import time

import pytest
from certificate_maker import make_pair
from edge import EDGE, SHOP, settings, started, status
from test_rollout import Load, shown

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-ingress runs it (STOWAGE_LONG=1)"),
]

DOORS = (
    "/",
    "/api",
    "/api/rawdata",
    "/api/version",
    "/dashboard/",
    "/ping",
    "/metrics",
    "/debug/vars",
    "/.stowage/ready",
)
PLACES = "/etc /root /tmp /var/tmp /var/log /var/lib/stowage /var/lib/docker/containers /run"


def written(fleet, name, *names):
    """A pair in the inventory; its entry for stowage_certificates, and the certificate."""
    certificate, key = make_pair(*names)
    (fleet.directory / f"certificates/{name}.pem").write_text(certificate)
    (fleet.directory / f"certificates/{name}.key").write_text(key)
    return {"certificate": f"certificates/{name}.pem", "key": f"certificates/{name}.key"}, certificate


def mark(certificate):
    """What the load generator counts a certificate by."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()[:16]


def served(fleet, node, host):
    """The mark of the certificate that a host shows for a name."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((fleet.address(node), 443), 5) as plain,
        context.wrap_socket(plain, server_hostname=host) as tls,
    ):
        return hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest()[:16]


class TlsLoad(Load):
    """The same requests over TLS."""

    def __init__(self, fleet):
        super().__init__(fleet, port=443)
        self.argv.append("tls")


def secret_line(fleet, name):
    """One line out of the middle of a key: what must be nowhere."""
    return (fleet.directory / f"certificates/{name}.key").read_text().splitlines()[1]


def test_certificates_are_served_rotated_under_load_and_removed(edge, capsys):
    fleet, ingress = edge, edge.nodes[:2]
    shop, old = written(fleet, "shop", "shop.localhost")
    wild, star = written(fleet, "wild", "*.shop.localhost")
    other, default = written(fleet, "default", "default.localhost")
    password = fleet.directory / "password"
    password.write_text("of the test")
    vault = ("--vault-password-file", str(password))
    binary = os.path.join(os.path.dirname(os.sys.executable), "ansible-vault")
    wild_key = secret_line(fleet, "wild")
    subprocess.run([binary, "encrypt", *vault, str(fleet.directory / "certificates/wild.key")], check=True)
    settings(fleet, "certificates", stowage_certificates=[shop, wild, {**other, "default": True}])
    since = [started(fleet, node) for node in ingress]
    refused = fleet.deploy()
    assert refused.rc != 0
    assert "STW-SECRET secret stowage_certificates[1].key" in refused.text

    plan = fleet.play("plan", *vault).ok()
    assert "n1: certificate shop.localhost: expires 20" in plan.text
    assert fleet.deploy("--check", "--diff", *vault).ok().changed > 0
    run = fleet.deploy("--diff", "-vvv", *vault).ok()
    for node in ingress:
        shows = [served(fleet, node, name) for name in ("shop.localhost", "api.shop.localhost", "elsewhere.test")]
        assert shows == [mark(old), mark(star), mark(default)]
        folder = "/etc/stowage/traefik/certificates"
        modes = fleet.shell(node, f"stat -c '%a %U' {folder} {folder}/inventory {folder}/inventory/*").splitlines()
        assert modes == ["700 root"] * 2 + ["600 root"] * 6
    for key in (secret_line(fleet, "shop"), wild_key):
        assert key not in run.text
        found = subprocess.run(["grep", "-rl", key, str(fleet.directory)], capture_output=True, text=True, check=False)
        assert [line for line in found.stdout.splitlines() if not line.endswith(".key")] == []
        for node in fleet.nodes:
            found = fleet.shell(node, f"grep -rlF -- '{key}' {PLACES}", check=False).splitlines()
            assert [path for path in found if not path.startswith(f"{folder}/inventory/")] == []
            assert bool(found) is (node in ingress)
    assert fleet.deploy(*vault).ok().changed == 0

    with TlsLoad(fleet) as load:
        _again, new = written(fleet, "shop", "shop.localhost")
        run = fleet.deploy(*vault).ok()
        time.sleep(2)
    shown(capsys, "a certificate rotated", load.report)
    assert "certificate shop.localhost: expires 20" in run.text
    assert "1 certificate(s) that are not wanted any more: removed" in run.text
    assert load.report["failed"] == 0, load.report["failures"]
    assert set(load.report["certificates"]) == {mark(old), mark(new)}
    assert [served(fleet, node, "shop.localhost") for node in ingress] == [mark(new)] * 2
    assert fleet.deploy(*vault).ok().changed == 0

    settings(fleet, "certificates", stowage_certificates=[])
    assert "3 certificate(s) that are not wanted" in fleet.deploy().ok().text
    assert fleet.shell(ingress[0], "ls /etc/stowage/traefik/certificates/inventory") == ""
    assert served(fleet, ingress[0], "shop.localhost") not in (mark(old), mark(new))
    assert [started(fleet, node) for node in ingress] == since, "Traefik was never restarted"


def test_bad_certificates_are_refused_before_any_host_is_touched(edge):
    fleet = edge
    good, _text = written(fleet, "good", "shop.localhost")
    wrong = {**good, "key": written(fleet, "wrong", "wrong.localhost")[0]["key"]}
    settings(fleet, "certificates", stowage_certificates=[wrong, {"certificate": "none.pem", "key": "none.key"}])
    for playbook in ("plan", "deploy"):
        run = fleet.play(playbook)
        assert run.rc != 0
        assert "STW-CERT-FILE stowage_certificates[1].certificate" in run.text
        assert "Traceback" not in run.text
    settings(fleet, "certificates", stowage_certificates=[good])
    assert "STW-CERT-HOST http router 'secure': no certificate is for 'api.shop.localhost'" in fleet.play("plan").text
    settings(fleet, "certificates", stowage_certificates=[])


def test_no_dashboard_no_api_no_metrics_from_outside(edge):
    """Whatever host is asked for: only the stacks' own routes answer, and nothing listens but the entry points."""
    fleet = edge
    for node in fleet.nodes[:2]:
        address = fleet.address(node)
        for door in DOORS:
            for host in (None, "traefik.localhost", "localhost", "127.0.0.1:8090"):
                assert status(f"http://{address}{door}", host) == 404, (door, host)
        assert status(f"http://{address}/", "shop.localhost") == 200
        for port in (8080, 8090):
            assert status(f"http://{address}:{port}/dashboard/") == 0
            assert status(f"http://{address}:{port}/api/rawdata") == 0
        assert fleet.shell(node, "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8090/metrics") == "200"
        assert fleet.shell(node, "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8090/api/rawdata") == "404"
        listening = fleet.shell(node, "ss -Hltnp | grep traefik | awk '{print $4}'").split()
        assert sorted(listening) == ["*:443", "*:80", "127.0.0.1:8090"]


# --- back ends that die or hang, through the ingress

AGAIN = """
        traefik.http.middlewares.again.retry.attempts: "4"
        traefik.http.middlewares.again.retry.initialinterval: 50ms
        traefik.http.middlewares.again.retry.status: "502-504"
        traefik.http.middlewares.again.retry.retrynonidempotentmethod: "true"
        traefik.http.routers.shop.middlewares: again
        traefik.http.services.shop.loadbalancer.serverstransport: quick
"""
QUICK = {"quick": {"forwardingTimeouts": {"responseHeaderTimeout": "1s"}}}


class QuickLoad(Load):
    """Without requests that take 2 s."""

    def __init__(self, fleet):
        super().__init__(fleet)
        self.argv.append("quick")


def signaled(fleet, signal, seconds=12):
    """The load's report while one of three back ends gets a signal; it is restarted by the Engine if it died."""
    victim = fleet.containers("shop_web")[1]
    pid = fleet.shell(victim["node"], f"docker inspect -f '{{{{.State.Pid}}}}' {victim['id']}")
    with QuickLoad(fleet) as load:
        fleet.shell(victim["node"], f"kill -{signal} {pid}")
        time.sleep(seconds)
    if signal == "STOP":
        fleet.shell(victim["node"], f"kill -CONT {pid}")
    time.sleep(3)
    return load.report


def test_a_back_end_that_is_killed_or_hangs_fails_no_request(edge, capsys):
    """The app says by its labels that a POST may be sent again, and how long it may take to answer."""
    fleet = edge
    settings(fleet, stowage_ingress={**EDGE, "transports": QUICK})
    fleet.stack(SHOP.rstrip() + AGAIN)
    fleet.deploy().ok()
    killed, hung = signaled(fleet, "KILL"), signaled(fleet, "STOP")
    shown(capsys, "one of three killed", killed)
    shown(capsys, f"one of three stopped (slowest {hung['max']:.0f} ms)", hung)
    assert killed["failed"] == 0, killed["failures"]
    assert hung["failed"] == 0, hung["failures"]
    assert hung["p99"] < 2000
    assert min(killed["requests"], hung["requests"]) > 1000


def test_without_such_labels_only_posts_in_flight_are_lost(edge, capsys):
    """What is not known to be harmless is not sent twice."""
    fleet = edge
    settings(fleet, stowage_ingress=EDGE)
    fleet.stack(SHOP)
    fleet.deploy().ok()
    report = signaled(fleet, "KILL")
    shown(capsys, "one of three killed, nothing said of POST", report)
    assert [failure for failure in report["failures"] if not failure["what"].startswith("POST")] == []
    assert report["failed"] < 20
