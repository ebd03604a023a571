"""What stands behind NAME on the command line of `secretset set`: ``KEY=VALUE``, and a KEY whose value is asked for.

Whatever is refused here may be a value by mistake, so none of it is shown: an argument is told by its number.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import typer

from secretset.domain import names

_HINT = "KEY=VALUE"
_KEY_RULE = f"a key is {names.KEY_RULE}"


@dataclass(frozen=True, kw_only=True, repr=False)
class Arguments:
    """What was given.

    Attributes:
        pairs: ``KEY=VALUE`` each; the shell has taken the quotes away.
        asked: the key whose value is asked for, if any.
    """

    pairs: Sequence[str]
    asked: str | None

    @classmethod
    def parse(
        cls, set_name: str, given: Sequence[str], *, allow_empty: bool = False, options: Collection[str] = ()
    ) -> Arguments:
        """Read what stands behind NAME.

        Args:
            set_name: the NAME.
            given: the arguments.
            allow_empty: whether ``KEY=`` is a value.
            options: of the command, for who mistyped one of them.

        Raises:
            typer.BadParameter: names the argument by its number, the rule and the way out.
        """
        for number, each in enumerate(given, 1):
            key, separator, value = each.partition("=")
            if each.startswith("-"):
                raise _refused(number, _like_an_option(key, options))
            if not names.is_valid_key(key):
                what = "what stands before '='" if separator else "it has no '=', and"
                raise _refused(number, f"{what} is no name for a key ({_KEY_RULE})")
            if not separator and number < len(given):
                # seeds/001: `pipecat cloud secrets set my-secrets SECRET_NAME secret-value …`
                raise _refused(
                    number,
                    f"it has no '=', and more follows. Write each as KEY=VALUE: secretset set {set_name} KEY=VALUE "
                    "KEY_2=VALUE_2. A KEY alone is asked for, without showing it, and stands last",
                )
            if separator and not value and not allow_empty:
                raise _refused(number, "nothing stands behind '='; if that is meant, say --allow-empty")
            if value and not value.strip("="):  # base64 and base32 end with '='
                raise _refused(
                    number,
                    "nothing but '=' stands behind its first '=', as where a value lacks its KEY=; a value of '=' "
                    "alone is taken with --from-stdin KEY",
                )
        asked = given[-1] if given and "=" not in given[-1] else None
        return cls(pairs=given[:-1] if asked else given, asked=asked)


def _like_an_option(word: str, options: Collection[str]) -> str:
    near = difflib.get_close_matches(word, options, n=1) if word.startswith("--") else []
    meant = f"did you mean {near[0]}?" if near else "see --help"
    return f"it begins with '-', and is no option of this command: {meant} A key that begins so comes with --from-stdin"


def _refused(number: int, why: str) -> typer.BadParameter:
    return typer.BadParameter(f"number {number} behind NAME: {why}", param_hint=_HINT)
