"""How sets are printed: as tables for people, as they are for machines, and never with a value."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer
import yaml

from secretset.cli.hub import plain, show
from secretset.cli.options import OutputFormat
from secretset.domain.names import Kind
from secretset.domain.set_view import SetView

Columns = Mapping[str, Callable[[Any], str]]

_NONE = "-"


def show_sets(
    output: OutputFormat, views: Sequence[SetView], *, kind: Kind | None = None, organizations: bool = False
) -> None:
    """Print a list of sets.

    Args:
        output: the form.
        views: the sets.
        kind: that all of them have; None: both may be among them.
        organizations: whether they are of several.
    """
    show(output, columns(kind=kind, organizations=organizations), [view.to_json() for view in views])


def columns(*, kind: Kind | None = None, organizations: bool = False) -> Columns:
    """The columns of a list; see `show_sets`."""
    pull = kind is Kind.IMAGE_PULL_SECRET
    return {
        **({"NAMESPACE": _cell("organization")} if organizations else {}),
        "NAME": _cell("name"),
        **({"HOST": _cell("host"), "USERNAME": _cell("username")} if pull else {}),
        **({"KIND": _cell("kind")} if kind is None else {}),
        "REGION": _cell("region"),
        "STATUS": _status,
        **({} if pull else {"KEYS": lambda row: str(len(row["keys"]))}),
        "CREATED": _cell("createdAt"),
        "UPDATED": _cell("updatedAt"),
    }


def show_set(output: OutputFormat, view: SetView) -> None:
    """Print one set, with its keys."""
    found = view.to_json()
    if output is not OutputFormat.TABLE:
        show_object(output, found)
        return
    facts = {
        "Kind": found["kind"],
        "Namespace": found["organization"],
        "Name": found["name"],
        "Region": found.get("region"),
        "Status": _status(found),
        "Message": found.get("message"),
        "Description": found.get("description"),
        "Metadata": ", ".join(f"{name}={text}" for name, text in sorted(view.metadata.items())),
        "Host": found.get("host"),
        "Username": found.get("username"),
        "Created": found["createdAt"],
        "Updated": found.get("updatedAt"),
    }
    for title, text in facts.items():
        if text:
            typer.echo(f"{title + ':':<13}{plain(str(text))}")
    typer.echo()
    show(
        output,
        {
            "KEY": _cell("name"),
            "CREATED": _cell("createdAt"),
            "UPDATED": _cell("updatedAt"),
            "SEALED FOR": _sealed_for,
        },
        found["keys"],
    )


def show_change(output: OutputFormat, view: SetView, done: str, *, waited: bool) -> None:
    """Print what a command did to a set.

    Args:
        output: the form.
        view: the set as it is now.
        done: what was done, as a participle.
        waited: whether it was waited until the set is ready.
    """
    if output is not OutputFormat.TABLE:
        show_object(output, view.to_json())
        return
    where = f" in {view.region}" if view.region else ""
    state = view.phase.value if waited else f"{view.phase.value}; secretset wait {view.name} -n {view.organization}"
    typer.echo(f"{view.organization}/{view.name}: {done}{where}, {state}")


def show_object(output: OutputFormat, found: Mapping[str, Any]) -> None:
    """Print one object for machines."""
    if output is OutputFormat.YAML:
        typer.echo(yaml.safe_dump(dict(found), sort_keys=False), nl=False)
    else:
        typer.echo(json.dumps(found, indent=2))


def counted(number: int, word: str) -> str:
    """A number and its word."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _cell(name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda row: str(row.get(name) or _NONE)


def _sealed_for(key: Mapping[str, Any]) -> str:
    """The sealing key of a value, or where it is read from."""
    return f"Secret {key['source']}" if "source" in key else str(key.get("sealedFor", _NONE))


def _status(row: Mapping[str, Any]) -> str:
    """The phase and, unless it is ready, why; `deleted` stands for a set that is gone."""
    status = str(row["status"])
    if row.get("deleting") and status != "deleted":
        return f"{status} (deleting)"
    return f"{status} ({row.get('reason', _NONE)})" if status in {"pending", "failed"} else status
