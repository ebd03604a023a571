"""The `exec` section of a kubeconfig: which program makes the credentials, and what it may be told.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from secretset.kube.errors import ConfigError

API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_EXTENSION = "client.authentication.k8s.io/exec"

# A program's name or a plain absolute path. Only such a text is repeated in messages.
_COMMAND = re.compile(r"(?=.{1,128}\Z)(?:[A-Za-z0-9_][A-Za-z0-9._+-]*|(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*)+)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")

# Variables that choose a program, a library, code, or a file of settings (which may name programs): of the shell and
# the loader, of interpreters, of libraries, and of the tools of clouds.
_CHOOSES = re.compile(
    r"PATH|HOME|SHELL|ENV|IFS|PS4|TMPDIR|PAGER|EDITOR|VISUAL|BROWSER|CDPATH|BASHOPTS|SHELLOPTS|LOCPATH|NLSPATH"
    r"|(?:LD|DYLD|BASH|XDG|GCONV|GLIBC|MALLOC|OPENSSL|SSL|GIT|NODE|NPM|GEM|JAVA|_JAVA|JDK|DOTNET|COREHOST)_\w+"
    r"|(?:PYTHON|PERL|RUBY|LUA)\w*|CLASSPATH|KUBECONFIG|KUBERNETES_EXEC_INFO"
    r"|\w+_(?:CONFIG|CONFIG_FILE|CONFIG_DIR|CONFIG_PATH|CREDENTIALS_FILE|APPLICATION_CREDENTIALS|DATA_PATH|PAGER)"
    r"|CLOUDSDK_PYTHON\w*",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True, repr=False)
class ExecSpec:
    """A program that makes credentials, ready to be run.

    Attributes:
        name: the command as the kubeconfig has it, for messages.
        program: its absolute path.
        args: its arguments.
        env: variables on top of the operator's own, `KUBERNETES_EXEC_INFO` among them.
        api_version: of the ExecCredential that it has to answer with.
    """

    name: str
    program: str
    args: tuple[str, ...]
    env: Mapping[str, str]
    api_version: str


def allowed(section: Any, plugins: frozenset[str]) -> str:
    """The command of an `exec` section, if the installer allows it.

    Args:
        section: the section, of whatever form.
        plugins: names of programs, found by the operator's own PATH, and absolute paths.

    Raises:
        ConfigError: it is not exactly one of those.
    """
    command = section.get("command") if isinstance(section, Mapping) else None
    if not isinstance(command, str) or _COMMAND.fullmatch(command) is None:
        raise ConfigError("it uses an exec plugin whose command is neither a program's name nor an absolute path")
    if command not in plugins:
        raise ConfigError(
            f"it uses the exec plugin '{command}', which the operator is not allowed to run (--exec-plugins)"
        )
    return command


def parse(section: Any, cluster: Mapping[str, Any], plugins: frozenset[str]) -> ExecSpec:
    """Read the `exec` section of a kubeconfig from outside.

    Args:
        section: the section, of whatever form.
        cluster: the kubeconfig's cluster, with data only, for `provideClusterInfo`.
        plugins: as for `allowed`.

    Raises:
        ConfigError: it is not allowed, not installed, or asks for what is not supported.
    """
    command = allowed(section, plugins)
    return _spec(command, section, cluster, _environment(section.get("env")))


def parse_own(section: Any, cluster: Mapping[str, Any], folder: Path) -> ExecSpec:
    """Read the `exec` section of the hub's kubeconfig, whose writer is the installer: any program, any variable.

    Args:
        section: the section, of whatever form.
        cluster: the kubeconfig's cluster.
        folder: where the kubeconfig is; a command that is a relative path is meant from there.

    Raises:
        ConfigError: as in `parse`, but for what is not allowed.
    """
    command = section.get("command") if isinstance(section, Mapping) else None
    if not isinstance(command, str) or not command:
        raise ConfigError("its exec plugin has no command")
    path = str(folder / command) if "/" in command else command
    return _spec(path, section, cluster, _variables(section.get("env")))


def _spec(command: str, section: Mapping[str, Any], cluster: Mapping[str, Any], env: dict[str, str]) -> ExecSpec:
    version = section.get("apiVersion")
    if version not in API_VERSIONS:
        raise ConfigError(f"the 'apiVersion' of its exec plugin is neither {API_VERSIONS[0]} nor v1beta1")
    mode = section.get("interactiveMode")
    if mode == "Always":
        raise ConfigError("its exec plugin wants to ask a person ('interactiveMode' is Always)")
    if mode not in (None, "Never", "IfAvailable"):  # no set: what is there may have no hash
        raise ConfigError("the 'interactiveMode' of its exec plugin is neither Never nor IfAvailable")
    args = section.get("args") or []
    if not isinstance(args, list) or not all(_is_text(arg) for arg in args):
        raise ConfigError("the 'args' of its exec plugin are not a list of text")
    program = shutil.which(command)
    if program is None:
        raise ConfigError(f"its exec plugin '{command}' is not installed where the operator runs")
    return ExecSpec(
        name=command,
        program=str(Path(program).absolute()),
        args=tuple(args),
        env={**env, "KUBERNETES_EXEC_INFO": _info(str(version), section, cluster)},
        api_version=str(version),
    )


def _environment(listed: Any) -> dict[str, str]:
    found = _variables(listed)
    for name in found:
        if _CHOOSES.fullmatch(name):
            raise ConfigError(
                f"the environment of its exec plugin sets '{name}', which could choose another program, library or file"
            )
    return found


def _variables(listed: Any) -> dict[str, str]:
    if listed is not None and not isinstance(listed, list):
        raise ConfigError("the 'env' of its exec plugin is not a list of names and values")
    found: dict[str, str] = {}
    for entry in listed or ():
        name, value = (entry.get("name"), entry.get("value")) if isinstance(entry, Mapping) else (None, None)
        if not isinstance(name, str) or _VARIABLE.fullmatch(name) is None or not _is_text(value):
            raise ConfigError("the 'env' of its exec plugin is not a list of names and values")
        found[name] = str(value)
    return found


def _is_text(value: Any) -> bool:
    """Whether a value can be an argument or a variable of a program."""
    return isinstance(value, str) and "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)


def _info(version: str, section: Mapping[str, Any], cluster: Mapping[str, Any]) -> str:
    """`KUBERNETES_EXEC_INFO`: an ExecCredential whose spec tells what is asked for."""
    spec: dict[str, Any] = {"interactive": False}
    if section.get("provideClusterInfo") is True:
        names = ("server", "tls-server-name", "certificate-authority-data", "proxy-url")
        spec["cluster"] = {name: cluster[name] for name in names if cluster.get(name)}
        extensions = cluster.get("extensions")
        for extension in extensions if isinstance(extensions, list) else ():
            if isinstance(extension, Mapping) and extension.get("name") == _EXTENSION:
                spec["cluster"]["config"] = extension.get("extension")
    try:
        return orjson.dumps({"apiVersion": version, "kind": "ExecCredential", "spec": spec}).decode()
    except TypeError:
        raise ConfigError("the settings of its exec plugin are not JSON") from None
