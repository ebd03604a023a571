"""What commands for users of sets have in common: whom they ask, in which organization, and how refusals are told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from secretset import telemetry
from secretset.actions.errors import Refused
from secretset.actions.session import Session
from secretset.cli.hub import NO_HUB, CommandError, fail, on_hub
from secretset.domain import names
from secretset.kube import contexts
from secretset.kube.client import Client

MANAGER = "secretset-cli"
"""The field manager of what the commands write."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class HubOptions:
    """The hub as the options name it.

    Attributes:
        kubeconfig: path; None: as kubectl finds it.
        context: of the kubeconfig; None: its current one.
        namespace: the organization; None: that of the context.
        operator_namespace: where the operator publishes its keys.
        reserved: names that no key may have.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None
    operator_namespace: str = "secretset-system"
    reserved: frozenset[str] = names.RESERVED_KEYS

    @property
    def organization(self) -> str:
        """The organization that a command is about."""
        return (
            self.namespace
            or contexts.namespace(str(self.kubeconfig) if self.kubeconfig else None, self.context)
            or "default"
        )


def on_session(command: str, options: HubOptions, work: Callable[[Session], Awaitable[T]]) -> T:
    """Do some work on the hub as its user, and end the command with a sentence if that fails or is refused."""
    if not names.NAMESPACE_PATTERN.fullmatch(options.organization):  # as a context may say; options are checked
        text = f"the context's namespace can be none, which is {names.NAMESPACE_RULE}: name another with --namespace"
        fail(command, text, NO_HUB)

    async def as_user(client: Client) -> T:
        session = Session(client, operator_namespace=options.operator_namespace, reserved=options.reserved)
        try:
            return await work(session)
        except Refused as error:
            raise CommandError(str(error)) from None

    # What the libraries beneath have to say is not for people who wait for an answer.
    telemetry.configure_logging(level="critical", form="text")
    return on_hub(command, options.kubeconfig, options.context, as_user, manager=MANAGER)
