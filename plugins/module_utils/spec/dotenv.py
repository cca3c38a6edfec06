# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files of variables for interpolation (.env), as Compose reads them: quotes, export, comments, variables in values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..errors import Problem, StowageError, raise_all, show
from ..secrets import sops
from .document import read_file
from .interpolation import InterpolationError, substitute

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.\-]*)[ \t]*(?:[=:][ \t]*|(?=\r?\n|$))")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$"}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def variables(paths: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """The variables of the files, later ones over earlier ones, known ones over all.

    A name without `=` is taken from known. Raises one StowageError (STW-FILE, STW-ENV) with the mistakes of all files.
    """
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            content = read_file(path)
            text = content.decode("utf-8-sig")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "is not UTF-8"
            problems.append(Problem("STW-FILE", path, f"cannot be read: {reason}", "check the path"))
            continue
        if sops.kind(content):
            reason = "is encrypted by SOPS, and `docker inspect` shows variables"
            problems.append(Problem("STW-SOPS", path, reason, "make it a secret: the service reads it as a file"))
            continue
        problems += _read(path, text, found, known)
    raise_all(problems)
    return {**found, **known}


def _read(path: str, text: str, found: dict[str, str], known: Mapping[str, str]) -> list[Problem]:
    """Add a file's variables to found; returns its mistakes."""
    problems, at = [], 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        line = text[at:end].strip()
        if not line or line.startswith("#"):
            at = end + 1
            continue
        place = f"{path}:{text.count(chr(10), 0, at) + 1}"
        match = _LINE.match(text, at, end)
        if not match:
            problems.append(Problem("STW-ENV", place, f"{show(line)} is no NAME=value", "write NAME=value"))
            at = end + 1
            continue
        name = match.group(1)
        try:
            value, at = _value(text, match.end(), {**found, **known})
        except (InterpolationError, StowageError) as error:
            problems.append(Problem("STW-ENV", place, f"{name}: {error}", "quote it with ' to take it as it stands"))
            at = end + 1
            continue
        if "=" in match.group() or ":" in match.group() or name in known:
            found[name] = value if "=" in match.group() or ":" in match.group() else known[name]
    return problems


def _value(text: str, at: int, known: Mapping[str, str]) -> tuple[str, int]:
    """The value that begins at this index, and the index of the next line."""
    quote = text[at : at + 1]
    if quote and quote in "'\"":
        close = _closing(text, at + 1, quote)
        inner = text[at + 1 : close]
        if quote == '"':
            inner = substitute(_ESCAPE.sub(_unescaped, inner), known)
        end = text.find("\n", close)
        return str(inner), len(text) if end < 0 else end + 1
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    plain = re.split(r"(?:^|\s)#", text[at:end], maxsplit=1)[0].strip()
    return str.__str__(substitute(plain, known)), end + 1


def _unescaped(match: re.Match[str]) -> str:
    escaped = match.group(1)
    return "$$" if escaped == "$" else _ESCAPES.get(escaped, match.group())


def _closing(text: str, at: int, quote: str) -> int:
    """Index of the quote that closes; InterpolationError if there is none."""
    while at < len(text):
        if text[at] == "\\" and quote == '"':
            at += 1
        elif text[at] == quote:
            return at
        at += 1
    raise InterpolationError("a quote is not closed")
