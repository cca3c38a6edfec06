"""Issue 6: certificates by ACME with one issuer and two ingress hosts, from a real ACME server. make test-ingress"""

from __future__ import annotations

import os
import time

import pytest
from certificate_maker import make_pair
from edge import EDGE, SHOP, settings
from test_ingress import TlsLoad, served
from test_rollout import shown

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-ingress runs it (STOWAGE_LONG=1)"),
]

NAME, SERVER = "shop.localhost", "pebble.edge"
PEBBLE = """
{"pebble": {"listenAddress": "0.0.0.0:14000", "managementListenAddress": "0.0.0.0:15000",
  "certificate": "/etc/edge/pebble.pem", "privateKey": "/etc/edge/pebble.key", "httpPort": 80, "tlsPort": 443,
  "ocspResponderURL": "", "externalAccountBindingRequired": false}}
"""
DNS = "dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --listen-address=127.0.0.1"


@pytest.fixture
def issuing(edge):
    """Pebble on the third host: it finds the name at the second host, while the first one is the issuer."""
    fleet, (issuer, other, where) = edge, edge.nodes
    certificate, key = make_pair(SERVER)
    fleet.shell(where, f"mkdir -p /etc/edge; cat > /etc/edge/pebble.json <<'END'\n{PEBBLE}\nEND")
    fleet.shell(where, f"cat > /etc/edge/pebble.pem <<'END'\n{certificate}END")
    fleet.shell(where, f"cat > /etc/edge/pebble.key <<'END'\n{key}END")
    names = f"--port=8053 --bind-interfaces --address=/{NAME}/{fleet.address(other)}"
    fleet.shell(where, f"systemd-run --unit edge-names --collect {DNS} {names}")
    options = "--network host -v /etc/edge:/etc/edge:ro -e PEBBLE_VA_NOSLEEP=1 -e PEBBLE_AUTHZREUSE=0"
    pebble = "pebble -config /etc/edge/pebble.json -dnsserver 127.0.0.1:8053"
    fleet.shell(where, f"docker run -d --name edge-pebble {options} stowage/edge:1 {pebble}", timeout=180)
    fleet.shell(issuer, f"cat > /etc/stowage/pebble.pem <<'END'\n{certificate}END")
    fleet.shell(issuer, f"grep {SERVER} /etc/hosts || echo {fleet.address(where)} {SERVER} >> /etc/hosts")
    take = "id=$(docker create stowage/edge:1) && docker cp $id:/usr/bin/lego /usr/bin/lego; docker rm $id"
    fleet.shell(issuer, take, timeout=180)
    yield fleet
    fleet.shell(where, "docker rm -f edge-pebble; systemctl stop edge-names", check=False)
    settings(fleet, "acme")


def acme(**more):
    server = {"server": f"https://{SERVER}:14000/dir", "ca_file": "/etc/stowage/pebble.pem"}
    return {"email": "ops@edge.test", "certificates": [[NAME]], **server, **more}


def test_one_issuer_asks_and_all_ingress_hosts_serve(issuing, capsys):
    fleet, ingress = issuing, issuing.nodes[:2]
    settings(fleet, stowage_ingress=EDGE)
    fleet.stack(SHOP)
    fleet.play("bootstrap").ok()
    fleet.deploy().ok()
    settings(fleet, "acme", stowage_acme=acme())
    before = served(fleet, ingress[0], NAME)
    check = fleet.play("renew_certificates", "--check").ok()
    assert f"n1: certificate {NAME} is due: there is none" in check.text
    run = fleet.play("renew_certificates", "-vvv").ok()
    first = served(fleet, ingress[0], NAME)
    assert first != before
    assert served(fleet, ingress[1], NAME) == first
    key = fleet.shell(ingress[0], f"sed -n 2p /var/lib/stowage/acme/certificates/{NAME}.key")
    assert len(key) > 40
    assert key not in run.text
    assert fleet.shell(ingress[0], "stat -c %a /var/lib/stowage/acme") == "700"
    assert fleet.play("renew_certificates").ok().changed == 0
    assert fleet.deploy().ok().changed == 0
    assert "is due" not in fleet.play("plan").ok().text

    settings(fleet, "acme", stowage_acme=acme(renew_days=36500))
    with TlsLoad(fleet) as load:
        fleet.play("renew_certificates").ok()
        time.sleep(2)
    shown(capsys, "a certificate renewed by ACME", load.report)
    second = served(fleet, ingress[0], NAME)
    assert second != first
    assert served(fleet, ingress[1], NAME) == second
    assert load.report["failed"] == 0, load.report["failures"]
    assert set(load.report["certificates"]) == {first, second}
    for node in ingress:
        assert len(fleet.shell(node, "ls /etc/stowage/traefik/certificates/acme").split()) == 2, "the old pair is gone"


def test_what_is_not_issued_is_told_and_the_old_one_stays(issuing):
    fleet = issuing
    settings(fleet, "acme", stowage_acme=acme())
    fleet.play("renew_certificates").ok()
    before = served(fleet, "n2", NAME)
    settings(fleet, "acme", stowage_acme=acme(certificates=[[NAME], ["nowhere.edge.test"]]))
    run = fleet.play("renew_certificates")
    assert run.rc != 0
    assert "STW-ACME certificate nowhere.edge.test: was not issued" in run.text
    assert served(fleet, "n2", NAME) == before
