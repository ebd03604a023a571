"""Words of a command line that the parser would take in silence for what they are not meant to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperOption


class OnceCommand(TyperCommand):
    """A command that refuses a second value for an option that takes one: else the parser keeps the last."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments.

        Raises:
            typer.BadParameter: an option that takes one value is given twice; shows none of them.
        """
        if not ctx.resilient_parsing:  # as while a shell completes them
            seen: set[str | None] = set()
            _, _, order = self.make_parser(ctx).parse_args(args=list(args))
            for each in order:
                if not isinstance(each, TyperOption) or each.multiple or each.is_flag:
                    continue
                if each.name in seen:
                    raise typer.BadParameter("is given twice, and can be once", ctx=ctx, param=each)
                seen.add(each.name)
        return super().parse_args(ctx, args)


class ValuesCommand(OnceCommand):
    """A command whose arguments may be values: no part of one is taken for an option, or shown."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments.

        Raises:
            typer.BadParameter: a word begins with ``-`` and letters that the parser would take one by one, the rest
                being the value of an option (``-nvalue``); names it by its number.
        """
        number = None if ctx.resilient_parsing else self._clustered(args)
        if number is not None:
            raise typer.BadParameter(
                f"number {number} behind '{ctx.info_name}': it begins with '-', and is no option alone. Write an "
                "option and what it is set to as two words, -n VALUE, and a value as KEY=VALUE; one that begins so can "
                "be read with --from-stdin KEY",
                ctx=ctx,
                param_hint="KEY=VALUE",
            )
        return super().parse_args(ctx, args)

    def _clustered(self, args: Sequence[str]) -> int | None:
        """The number of the first word such as ``-nvalue`` that is not itself what an option is set to."""
        takes = {
            name for each in self.params if isinstance(each, TyperOption) and not each.is_flag for name in each.opts
        }
        taken = False
        for number, word in enumerate(args, 1):
            if taken:
                taken = False
            elif word == "--":  # what follows is an argument, whatever it begins with
                return None
            elif len(word) > 2 and word[0] == "-" != word[1]:
                return number
            else:
                taken = word in takes
        return None
