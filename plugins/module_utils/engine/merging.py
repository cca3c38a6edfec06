# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the Engine makes of the body of POST /containers/create and of the Config of its image. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Body = Mapping[str, Any]


def process(body: Body, image: Body) -> tuple[list[str], list[str]]:
    """(entrypoint, command) that run. A stated entrypoint, also one of no words, takes the image's command away."""
    entrypoint, command = words(body.get("Entrypoint")), words(body.get("Cmd"))
    if body.get("Entrypoint") is None:
        return words(image.get("Entrypoint")), command or words(image.get("Cmd"))
    return entrypoint, command


def environment(body: Body, image: Body) -> dict[str, str]:
    """{name: value} of the process: the image's variables, those of the body over them; a bare name takes one away."""
    found = variables(image.get("Env"))
    for entry in body.get("Env") or ():
        key, equals, value = entry.partition("=")
        found.pop(key, None)
        found.update({key: value} if equals else {})
    return found


def words(value: Any) -> list[str]:
    """A command as a list; the Engine has no words as None, [] or one empty word."""
    return [] if value in (None, [""]) else [str(word) for word in value]


def variables(entries: Iterable[str] | None) -> dict[str, str]:
    """{name: value} of an Env list."""
    parts = (str(entry).partition("=") for entry in entries or ())
    return {key: value for key, equals, value in parts if equals}
