"""Questions whose answers are not shown while they are typed."""

from __future__ import annotations

import getpass
import warnings

import typer

from secretset.cli.hub import CommandError


def hidden(question: str, *, twice: bool, instead: str) -> str:
    """Ask at the terminal, without showing what is typed; nothing typed is an empty answer.

    Args:
        question: what is asked.
        twice: until two answers are the same.
        instead: what to use where there is no terminal.

    Raises:
        CommandError: there is no terminal that hides what is typed.
    """
    with warnings.catch_warnings():
        # Without such a terminal, `getpass` warns and shows it.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return str(
                typer.prompt(
                    question, default="", show_default=False, hide_input=True, confirmation_prompt=twice, err=True
                )
            )
        except getpass.GetPassWarning:
            typer.echo(err=True)  # ends the line of the question, which was not answered
            raise CommandError(f"there is no terminal to ask at: use {instead}") from None
