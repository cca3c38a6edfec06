# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configs that are templates: what comes out, and what changes a service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import digest, text_digest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import payload
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.spec import (
    Options,
    TemplateMistake,
    compile_services,
    filled,
    identity,
    load,
    template_values,
)
from ansible_collections.stowage.fleet.plugins.module_utils.spec.config_templates import described

TASK = {
    "service": {"name": "shop_web", "stack": "shop"},
    "task": {"slot": "2", "name": "shop_web.2.3fa94c21", "id": "3fa94c21"},
    "node": {"hostname": "n1", "labels": {"zone": "a"}},
    "environment": {"LEVEL": "info", "QUOTED": '"'},
}
GIVEN = {"env": {"REGION": "eu", "OTHER": "1"}, "values": {"db": {"host": "db1"}, "unused": 1}}


def out(driver: str, text: str, given: Any = None) -> str:
    entry = {"template": described(driver, text.encode(), given or GIVEN)}
    return filled(entry, text.encode(), TASK).decode()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain $x {x}", "plain $x {x}"),
        ("{{.Service.Name}} {{ .Service.ID }}", "shop_web shop_web"),
        ("{{.Task.Slot}}/{{.Task.Name}}/{{.Task.ID}}", "2/shop_web.2.3fa94c21/3fa94c21"),
        ("{{.Node.Hostname}} {{.Node.ID}}", "n1 n1"),
        ('{{env "LEVEL"}}{{ env `QUOTED` }}{{env "NOT_THERE"}}', 'info"'),
        ('{{"{{"}} kept {{ `}}` }}', "{{ kept }}"),
        ("a {{- /* note */ -}} b", "ab"),
        ("a\n  {{- .Task.Slot -}}\n b", "a2b"),
        ("ends with a newline\n", "ends with a newline\n"),
    ],
)
def test_golang(text: str, wanted: str) -> None:
    assert out("golang", text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{{ env.REGION }}-{{ values.db.host }}\n", "eu-db1\n"),
        ("{% if task.slot == '2' %}second{% endif %} {{ node.labels.zone }}", "second a"),
        ("{% for n in range(3) %}{{ n }}{% endfor %}{{ service.name }}@{{ node.hostname }}", "012shop_web@n1"),
        ("{{ env.NOT_THERE | default('none') }}", "none"),
    ],
)
def test_jinja2(text: str, wanted: str) -> None:
    assert out("jinja2", text) == wanted


@pytest.mark.parametrize(
    ("driver", "text"),
    [
        ("golang", "{{if .Task.Slot}}x{{end}}"),
        ("golang", "{{.Task.Slot"),
        ("golang", '{{env "\\q"}}'),
        ("golang", "\n{{ range . }}"),
        ("jinja2", "{{ lookup('file', '/etc/shadow') }}"),
        ("jinja2", "{{ hostvars }}"),
        ("jinja2", "{% include '/etc/passwd' %}"),
        ("jinja2", "{% for n in range(9999999) %}{% endfor %}"),
        ("jinja2", "{{ ''.__class__.__mro__[1].__subclasses__() }}"),
        ("jinja2", "{{ values.db.update({'a': 1}) }}"),
        ("jinja2", "{{ 1 // 0 }}"),
        ("jinja2", "{{ values.db.nothing.more }}"),
    ],
)
def test_refused(driver: str, text: str) -> None:
    with pytest.raises(TemplateMistake) as caught:
        described(driver, text.encode(), GIVEN)
    assert caught.value.reason
    assert caught.value.fix


def test_what_is_no_text_or_too_long_is_refused() -> None:
    with pytest.raises(TemplateMistake):
        described("golang", b"\xff", {})
    entry = {"template": described("jinja2", b"{{ 'x' * 2000000 }}", {})}
    with pytest.raises(TemplateMistake):
        filled(entry, b"{{ 'x' * 2000000 }}", TASK)


def test_only_what_is_used_is_part_of_the_identity() -> None:
    text = b"{{ env.REGION }} {{ values['db'].host }}"
    one = {"template": described("jinja2", text, GIVEN)}
    assert one["template"] == {"driver": "jinja2", "env": {"REGION": "eu"}, "values": {"db": {"host": "db1"}}}
    other = {"template": described("jinja2", text, {"env": {**GIVEN["env"], "OTHER": "2"}, "values": GIVEN["values"]})}
    assert identity(one, text) == identity(other, text)
    moved = {"template": described("jinja2", text, {"env": {"REGION": "us"}, "values": GIVEN["values"]})}
    assert identity(one, text) != identity(moved, text)
    whole = described("jinja2", b"{% for k in env %}{{ k }}{% endfor %}", GIVEN)
    assert whole["env"] == GIVEN["env"]


def test_the_driver_counts_and_plain_configs_are_named_by_their_content() -> None:
    text = b"plain"
    digests = {identity({"template": described(driver, text, {})}, text) for driver in ("golang", "jinja2")}
    assert len(digests | {identity({}, text)}) == 3
    assert identity({}, text) == text_digest(text)
    assert filled({}, b"\xff{{", TASK) == b"\xff{{"


def test_values_of_the_inventory_reach_the_service_and_change_it(tmp_path: Path) -> None:
    path = tmp_path / "stack.yml"
    path.write_text(
        "services: {web: {image: a, configs: [c]}}\n"
        "configs: {c: {content: 'x={{ values.x }}', template_driver: jinja2}}\n",
        encoding="utf-8",
    )
    made = [
        compile_services("shop", load(path, {}, Options(values={"x": x, "y": y})), str(tmp_path))
        for x, y in ((1, 1), (1, 2), (2, 1))
    ]
    specs = [digest(one["services"][0]["template"]) for one in made]
    assert specs[0] == specs[1] != specs[2]


def test_values_must_be_a_mapping() -> None:
    assert template_values({"a": 1}) == {"a": 1}
    with pytest.raises(StowageError):
        template_values(["a"])


def test_a_task_mounts_the_file_that_was_rendered_for_it() -> None:
    wanted = {
        "kind": "config",
        "name": "c",
        "target": "/c",
        "digest": "of-template",
        "uid": "0",
        "gid": "0",
        "mode": 292,
    }
    template = {"image": "a", "files": [wanted, {**wanted, "digest": "plain", "target": "/d"}]}
    task = {"name": "shop_web.1.0", "rendered": {"of-template": "of-file"}}
    assert [one["digest"] for one in payload.files_of(template, task)] == ["of-file", "plain"]
    assert [one["digest"] for one in payload.files_of(template, {"name": "x"})] == ["of-template", "plain"]
