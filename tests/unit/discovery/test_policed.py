"""The policy on a host: put in force once, drift of file and kernel shows, members outside the core do not."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.stowage.fleet.plugins.module_utils.discovery import policed
from ansible_collections.stowage.fleet.plugins.module_utils.discovery.api import observe_endpoints, policy_share

SERVICES = [{"name": "a_x", "networks": [{"name": "a_default"}], "template": {}}]
SERVING = [{"service": "a_x", "slot": "1", "node": "n1", "ip": "10.128.0.2"}]
STARTING = [{"service": "a_x", "stack": "a", "node": "n1", "ip": "10.128.0.3"}]


class Kernel:
    """What is loaded."""

    loaded = None

    def apply(self, text, path):
        self.loaded = text
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
        return True

    def police(self):
        return policed.Police(self.apply, lambda text: text == self.loaded)


def test_a_policy_is_put_in_force_once_and_drift_shows(tmp_path):
    kernel, root = Kernel(), str(tmp_path)
    share = policy_share(SERVICES, SERVING, "n1", {})
    assert policed.policy_core(root, kernel.police()) == ""
    assert policed.deliver_policy(share, root, True, kernel.police()) == ["/var/lib/stowage/policy.nft created"]
    assert kernel.loaded is None
    assert policed.deliver_policy(share, root, False, kernel.police()) == ["/var/lib/stowage/policy.nft created"]
    assert policed.deliver_policy(share, root, False, kernel.police()) == []
    assert policed.policy_core(root, kernel.police()) == share["core"]
    kernel.loaded = "something else"
    assert policed.policy_core(root, kernel.police()) == "not loaded"
    assert policed.deliver_policy(share, root, False, kernel.police()) == ["/var/lib/stowage/policy.nft changed"]
    kernel.apply(kernel.loaded + "#", tmp_path / policed.POLICY_FILE)
    assert policed.policy_core(root, kernel.police()) == "not loaded"


def test_what_starts_is_let_in_but_is_no_drift_afterwards():
    alone = policy_share(SERVICES, SERVING, "n1", {})
    more = policy_share(SERVICES, SERVING, "n1", {}, STARTING)
    assert "10.128.0.3" in more["text"]
    assert "10.128.0.3" not in alone["text"]
    assert alone["core"] == more["core"]
    both = [*SERVING, {**SERVING[0], "slot": "2", "ip": "10.128.0.3"}]
    assert policy_share(SERVICES, both, "n1", {})["core"] != alone["core"]


def test_a_run_that_gave_way_leaves_no_other_picture_than_its_policy(tmp_path):
    root = str(tmp_path)
    before = observe_endpoints(root)
    policed.deliver_policy(policy_share(SERVICES, SERVING, "n1", {}), root)
    after = observe_endpoints(root)
    assert after["told"] == before["told"]
    assert after["digest"] != before["digest"]
