"""The credentials that `secretset image-pull-secrets set` is given. None of them is shown."""

from __future__ import annotations

import io
import sys

from secretset.cli.hub import CommandError
from secretset.cli.prompts import hidden
from secretset.cli.seal_values import Values
from secretset.cli.set_options import encodable, tell
from secretset.domain import names, payload
from secretset.domain.names import PASSWORD, Kind
from secretset.domain.reasons import Problem


def check(host: str | None, username: str | None) -> None:
    """Refuse a registry or a user that no pull secret can have.

    Raises:
        CommandError: says the rule.
    """
    try:
        if host is not None:
            payload.normalize_host(host)
    except Problem:
        raise _no_registry() from None
    if host is not None and "@" in host:  # as the schema has it: also in a path, as of `https:/user:token@host`
        raise _no_registry()
    if username is None:
        return
    if not 1 <= len(username) <= names.USERNAME_MAX or ":" in username or not encodable(username):
        raise CommandError(
            f"a username is 1 to {names.USERNAME_MAX:,} characters of UTF-8 text, none of them ':'; the token is "
            "separate"
        )


def _no_registry() -> CommandError:
    return CommandError(
        "HOST is not a registry: write a host such as ghcr.io or a URI such as https://index.docker.io/v1/, without "
        "credentials"
    )


def username() -> str:
    """Ask for the user.

    Raises:
        CommandError: there is no terminal, or none can be called so.
    """
    answer = hidden("Username", twice=False, instead="--username")
    check(None, answer)
    return answer


def token(*, stdin: bool) -> bytes:
    """Read or ask for the password or token.

    Args:
        stdin: read it from standard input; one line break at its end is not part of it, as `docker login` has it.

    Raises:
        CommandError: there is no terminal, or it breaks a rule.
    """
    values = Values(Kind.IMAGE_PULL_SECRET, tell)
    if stdin:
        raw = sys.stdin.buffer.read(names.VALUE_MAX_BYTES + 3)
        values.from_stdin(PASSWORD, io.BytesIO(raw.removesuffix(b"\n").removesuffix(b"\r")))
    else:
        values.from_prompt(PASSWORD, option="", instead="--password-stdin", question="Password or token")
    found = values.content[PASSWORD]
    if not found:
        raise CommandError("a password cannot be empty: nothing was changed")
    return found
