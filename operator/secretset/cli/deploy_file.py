"""A `pcc-deploy.toml`, the file that Pipecat's own CLI deploys by: what it says of secrets."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secretset.cli.hub import NO_HUB, CommandError
from secretset.domain.names import Kind

# pipecatcloud 1.4.0, `load_deploy_config_file`; its documentation (seeds/000) speaks of image pull secrets.
_FIELDS = {
    "secret_set": Kind.SECRET_SET,
    "image_credentials": Kind.IMAGE_PULL_SECRET,
    "image_pull_secret": Kind.IMAGE_PULL_SECRET,
}


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be bound.

    Attributes:
        workload: as it was named.
        names: of sets of either kind.
        kinds: names of sets whose kind is known.
        region: that they are to live in; None for any.
    """

    workload: str
    names: tuple[str, ...] = ()
    kinds: Mapping[Kind, str] = field(default_factory=dict)
    region: str | None = None


def read(file: Path) -> Wish:
    """Read the file; what it says of other things is none of ours.

    Raises:
        CommandError: it cannot be read, or says nothing of secrets. What is in it is not shown.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}", NO_HUB) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise CommandError(f"{file} is not TOML", NO_HUB) from None
    agent = _text(content, "agent_name", file)
    if agent is None:
        raise CommandError(f"{file} has no 'agent_name', the name of the Deployment", NO_HUB)
    kinds: dict[Kind, str] = {}
    for name, kind in _FIELDS.items():
        text = _text(content, name, file)
        if text is not None and kinds.setdefault(kind, text) != text:
            raise CommandError(f"{file} has 'image_credentials' and 'image_pull_secret', which differ", NO_HUB)
    if not kinds:
        raise CommandError(f"{file} names no set: it has neither 'secret_set' nor 'image_credentials'", NO_HUB)
    return Wish(workload=agent, kinds=kinds, region=_text(content, "region", file))


def _text(content: Mapping[str, Any], name: str, file: Path) -> str | None:
    value = content.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise CommandError(f"{file}: '{name}' is not text", NO_HUB)
    return value
