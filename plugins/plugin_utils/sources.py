# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Stores of configuration, asked by the controller: which revision services would start with now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible_collections.stowage.fleet.plugins.module_utils import config_stores
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import dumps
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError, raise_all
from ansible_collections.stowage.fleet.plugins.module_utils.pulled import planned
from ansible_collections.stowage.fleet.plugins.module_utils.pulled.tasks import CREDENTIAL, TRY_SECONDS
from ansible_collections.stowage.fleet.plugins.plugin_utils import stored

THREADS = 8
Opener = Callable[[str, bytes], bytes]


def fill_in(
    whole: Mapping[str, Any],
    session: stored.Session,
    opened: Opener,
    containers: Callable[[], Iterable[Mapping[str, Any]]],
    stack: str = "",
) -> dict[str, Any]:
    """The compiled stacks with the revisions of what their stores have now; of one stack only, if it is named.

    opened: vaulted.opener(). A store that does not answer changes nothing and is warned of. Raises StowageError with
    one Problem for each that refuses, and each required key that is not there.
    """
    asking = [one for one in whole["services"] if one["template"].get("config") and stack in ("", one["stack"])]
    if not asking:
        return dict(whole)
    answers = _answers(asking, whole["files"], session, opened)
    raise_all(problem for one in asking for problem in planned.problems(one, answers[one["name"]]))
    runs = planned.running(containers())
    services, warnings = [], list(whole["warnings"])
    for service in whole["services"]:
        made = service
        if service["name"] in answers:
            made, told = planned.revised(service, answers[service["name"]], runs.get(service["name"], ""))
            warnings += told
        services.append(made)
    return {**whole, "services": services, "warnings": warnings}


def _answers(
    asking: Iterable[Mapping[str, Any]], files: Mapping[str, Any], session: stored.Session, opened: Opener
) -> dict[str, planned.Answer]:
    """{service: what its store told}; services of one source ask once."""
    questions = {}
    for service in asking:
        config = service["template"]["config"]
        source = {key: config[key] for key in ("type", "endpoints", "prefix")}
        questions[service["name"]] = (source, credential(service, files, session, opened), config.get("ca"))
    once = {dumps(question): question for question in questions.values()}
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        told = dict(zip(once, pool.map(lambda question: _answer(*question), once.values())))
    return {name: told[dumps(question)] for name, question in questions.items()}


def _answer(source: Mapping[str, Any], secret: str | None, ca: str | None) -> planned.Answer:
    try:
        revision, names = config_stores.peek(config_stores.Access(source, secret, ca, TRY_SECONDS))
    except config_stores.StoreError as error:
        return planned.Answer(reason=error.reason, refused=not error.retry)
    return planned.Answer(revision, names)


def credential(
    service: Mapping[str, Any], files: Mapping[str, Any], session: stored.Session, opened: Opener
) -> str | None:
    """What a service's store is asked with; None if it states no auth. Raises StowageError."""
    mounted = service["template"].get("files", ())
    digest = next((one["digest"] for one in mounted if one["target"] == CREDENTIAL), None)
    if digest is None:
        return None
    entry = files[digest]
    if "reference" in entry:
        value = session.values({digest: entry})[digest]
    else:
        read = Path(entry["path"]).read_bytes() if "path" in entry else entry["content"].encode()
        value = opened(entry["name"], read)
    try:
        return value.decode().rstrip("\r\n")
    except ValueError:
        fix = "write it as text"
        reason = "the secret of auth is no text"
        raise StowageError(Problem(planned.CODE, planned.place(service), reason, fix)) from None
