# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The fleet's own etcd: mistakes in the inventory, and what makes users and rights as they are stated."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.config_stores import server
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError

WORD = "a long password"
SHOP = {"password": WORD, "read": ["/cfg/shop"]}


SIZES = [(0, "is empty"), (2, "even one more"), (4, "even one more"), (7, "waits for")]


@pytest.mark.parametrize(("count", "told"), SIZES)
def test_sizes_that_make_no_sense(count, told):
    (problem,) = server.size_problems([f"n{n}" for n in range(count)])
    assert told in problem.reason
    assert server.size_problems(["n1"]) == server.size_problems(["n1", "n2", "n3"]) == []


def test_users():
    root, shop = server.users({"shop": {**SHOP, "write": ["/cfg/own/"]}}, WORD)
    assert (root.name, root.rights) == ("root", {})
    assert shop.rights == {"/cfg/shop": "READ", "/cfg/own/": "READWRITE"}


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ([], ""),
        (["x"], "is no mapping"),
        ({"Shop": SHOP}, "no name of a user"),
        ({"root": SHOP}, "no name of a user"),
        ({"shop": {**SHOP, "admin": True}}, "other keys"),
        ({"shop": {**SHOP, "password": "short"}}, "12 or more"),
        ({"shop": {"read": ["/a"]}}, "has no password"),
        ({"shop": {"password": WORD}}, "may do nothing"),
        ({"shop": {**SHOP, "read": ["cfg"]}}, "is no prefix"),
    ],
)
def test_mistakes(stated, told):
    if not told:
        assert len(server.users(stated, WORD)) == 1
        return
    with pytest.raises(StowageError, match=told):
        server.users(stated, WORD)


def test_all_mistakes_at_once():
    with pytest.raises(StowageError) as caught:
        server.users({"a": {}, "B": SHOP}, "")
    assert len(caught.value.problems) == 4


class Cluster:
    """What a cluster answers."""

    def __init__(self, users, rights, closed=True, passwords=()):
        self.users, self.held, self.closed, self.passwords = users, rights, closed, dict(passwords)
        self.roles, self.rights = users.get, rights.get

    def opens(self, name, password):
        return self.passwords.get(name, WORD) == password


def words(cluster, stated):
    return [one.words for one in server.changes(cluster, server.users(stated, WORD))]


def test_a_new_cluster_gets_everything_and_is_closed_last():
    assert words(None, {"shop": SHOP}) == [
        "make role root",
        "make user root",
        "give root its role",
        "make role shop",
        "let shop read /cfg/shop/",
        "make user shop",
        "give shop its role",
        "turn authentication on",
    ]


def test_a_cluster_that_is_as_stated_stays():
    users = {"root": ["root"], "shop": ["shop"], "other": ["other"]}
    held = {"root": {}, "shop": {"/cfg/shop/": "READ"}, "other": {"/x/": "READ"}}
    assert words(Cluster(users, held), {"shop": SHOP}) == []


def test_rights_and_passwords_that_differ():
    users = {"root": ["root"], "shop": ["shop"]}
    held = {"root": {}, "shop": {"/cfg/shop/": "READWRITE", "/old/": "READ"}}
    assert words(Cluster(users, held, passwords={"shop": "another one"}), {"shop": SHOP}) == [
        "let shop read /cfg/shop/",
        "let shop have /old/ no more",
        "give shop a new password",
    ]
    open_still = Cluster(users, {**held, "shop": {"/cfg/shop/": "READ"}}, closed=False)
    (last,) = server.changes(open_still, server.users({"shop": SHOP}, WORD))
    assert last.method == "auth/enable"
