# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Baking an image on the engine in memory, and images without the labels that a service asks for."""

from __future__ import annotations

import base64
import io
import tarfile

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import bake
from ansible_collections.stowage.fleet.plugins.module_utils.engine.client import EngineError

SHA = "sha256:" + "a" * 64
IMAGE = "reg:5000/shop/web:0123456789abcdef"
REQUEST = {
    "image": IMAGE,
    "base": "shop/web:1.8",
    "files": {"/etc/app.yml": base64.b64encode(b"a: 1\n").decode()},
    "environment": {"PRICE": '5 $USD "net"'},
    "labels": {"env": "prod"},
}


class FakeRegistry:
    """An engine, as far as baking needs one; `there`: the image is in the registry."""

    def __init__(self, there=False, mark="0123456789abcdef", fails=""):
        self.there, self.mark, self.fails, self.log = there, mark, fails, []

    def pull(self, image):
        self.log.append("pull")
        if not self.there:
            raise EngineError("manifest unknown", 404)

    def image(self, image):
        labels = {"stowage.bake": self.mark}
        return {"Config": {"Labels": labels}, "RepoDigests": [f"reg:5000/shop/web@{SHA}"]} if self.there else None

    def build(self, context, image):
        if self.fails:
            raise EngineError(self.fails)
        self.log.append("build")

    def push(self, image):
        self.log.append("push")
        return SHA


def test_it_is_built_and_pushed_once():
    engine = FakeRegistry()
    assert bake.bake(REQUEST, engine=engine) == {"changed": True, "digest": SHA, "problems": []}
    assert engine.log == ["pull", "build", "push"]
    again = FakeRegistry(there=True)
    assert bake.bake(REQUEST, engine=again) == {"changed": False, "digest": SHA, "problems": []}
    assert again.log == ["pull"]


def test_a_tag_that_somebody_else_pushed_is_baked_over():
    engine = FakeRegistry(there=True, mark="else")
    assert bake.bake(REQUEST, engine=engine)["changed"] is True
    assert engine.log == ["pull", "build", "push"]


def test_check_does_nothing():
    engine = FakeRegistry()
    assert bake.bake(REQUEST, check=True, engine=engine)["changed"] is True
    assert engine.log == []


def test_a_build_that_fails_is_one_problem():
    found = bake.bake(REQUEST, engine=FakeRegistry(fails="no such base"))
    assert [(one["code"], one["reason"]) for one in found["problems"]] == [("STW-BAKE", "no such base")]


def test_what_is_built_from():
    made = bake.context(REQUEST)
    assert made == bake.context(REQUEST)
    with tarfile.open(fileobj=io.BytesIO(made)) as archive:
        assert archive.getnames() == ["Dockerfile", "root/etc/app.yml"]
        assert archive.extractfile("root/etc/app.yml").read() == b"a: 1\n"
        text = archive.extractfile("Dockerfile").read().decode()
    assert text.splitlines() == [
        "FROM shop/web:1.8",
        "COPY root/ /",
        'ENV PRICE="5 \\$USD \\"net\\""',
        'LABEL "env"="prod"',
        'LABEL "stowage.bake"="0123456789abcdef"',
    ]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"env": "prod"}, []),
        ({"env": "staging"}, ["image plain: label 'env' has 'staging', 'prod' is required"]),
        ({}, ["image plain: label 'env' is not there, 'prod' is required"]),
    ],
)
def test_an_image_without_the_labels_stops_everything(host, labels, told):
    host.engine.known_images["plain"] = {"Config": {"Labels": labels}}
    share = {"images": ["plain"], "require": [{"service": "shop_web", "image": "plain", "labels": {"env": "prod"}}]}
    found = host.apply("prepare", share)
    assert [problem["reason"] for problem in found["problems"]] == told
    assert {problem["code"] for problem in found["problems"]} <= {"STW-IMAGE"}


def test_check_cannot_tell_of_an_image_that_is_not_there(host):
    share = {"images": [], "require": [{"service": "shop_web", "image": "new", "labels": {"env": "prod"}}]}
    assert host.apply("prepare", share, check=True)["problems"] == []
