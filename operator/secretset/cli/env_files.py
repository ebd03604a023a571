"""`.env` files where they usually are: found, chosen from, and looked at for whether git would commit them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from secretset.cli.hub import NO_HUB, CommandError

NAMES = (".env", ".env.local", ".env.production")
"""The files that are looked for (seeds/004, "Secrets file")."""

_GIT_SECONDS = 5.0
_NOT_IGNORED = 1  # git-check-ignore(1), "EXIT STATUS"; 128: there is no repository


def chosen(folder: Path, target: str, instead: str) -> str:
    """Ask whether to take the one `.env` file of a folder, or which of several.

    Args:
        folder: to look into.
        target: what is changed, in words.
        instead: the options that name values.

    Returns:
        Its path.

    Raises:
        CommandError: there is none, nobody can be asked, or the answer is no.
    """
    files = [folder / name for name in NAMES if (folder / name).is_file()]
    if not sys.stdin.isatty():
        raise CommandError(f"no values: give {instead}. At a terminal, {', '.join(NAMES)} are offered", NO_HUB)
    if not files:
        raise CommandError(f"no values, and there is no {', '.join(NAMES[:-1])} or {NAMES[-1]} here: give {instead}")
    if len(files) == 1:
        if not typer.confirm(f"Put the values of {files[0].name} into {target}?", default=True, err=True):
            raise CommandError("nothing was changed")
        return str(files[0])
    for number, file in enumerate(files, 1):
        typer.echo(f"  {number}  {file.name}", err=True)
    answer: Path = typer.prompt(
        f"Put the values of which file into {target}?", value_proc=lambda text: _numbered(files, text), err=True
    )
    return str(answer)


def warn_unless_ignored(path: str, tell: Callable[[str], None]) -> None:
    """Warn of a file in a git repository that git does not ignore. Where there is no git or repository, all is well."""
    file = Path(path)
    if not file.is_file():  # a pipe, or nothing: whoever reads it says so
        return
    command = ["git", "-C", str(file.parent), "check-ignore", "--quiet", "--", f"./{file.name}"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return
    if done.returncode == _NOT_IGNORED:
        tell(
            f"warning: git does not ignore '{path}', so it may be committed: add it to .gitignore, and if it is "
            "committed already, `git rm --cached` it and change its values where they are used"
        )


def _numbered(files: Sequence[Path], text: str) -> Path:
    """The file of a number, or of a name."""
    for number, file in enumerate(files, 1):
        if text.strip() in {str(number), file.name}:
            return file
    raise typer.BadParameter(f"type a number from 1 to {len(files)}")
