"""The Lua of deploy/argo-cd as Argo CD runs it: Lua 5.1 with `table`, and of `os` no more than time and date."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from lupa.lua51 import LuaRuntime, lua_type

from harness.process import ROOT

CONFIG = ROOT / "deploy" / "argo-cd" / "argocd-cm.yaml"
# argo-cd, util/lua/lua.go: what else Lua has is there for the scripts that Argo CD ships, and not for those of others.
_SANDBOX = """
getmetatable("").__index = nil
string, math, io, debug, coroutine, python = nil, nil, nil, nil, nil, nil
os = {date = os.date, time = os.time}
package.loaded.os = os
"""

Manifest = Mapping[str, Any]


class ArgoCD:
    """What Argo CD makes of objects with a ConfigMap `argocd-cm`.

    Args:
        data: of the ConfigMap.
    """

    def __init__(self, data: Mapping[str, str]) -> None:
        self._data = data

    @classmethod
    def of_file(cls, path: Path = CONFIG) -> ArgoCD:
        """With the ConfigMap of a file."""
        return cls(yaml.safe_load(path.read_text())["data"])

    def health(self, obj: Manifest) -> tuple[str, str]:
        """Status and message."""
        found = _run(self._data[f"resource.customizations.health.secretset.dev_{obj['kind']}"], obj)
        assert found.keys() == {"status", "message"}
        return found["status"], found["message"]

    def actions(self, obj: Manifest) -> dict[str, bool]:
        """The actions that are shown, and whether each can be chosen."""
        found = _run(self._actions(obj)["discovery.lua"], obj)
        assert found.keys() == {each["name"] for each in self._actions(obj)["definitions"]}
        return {name: not said.get("disabled", False) for name, said in found.items()}

    def act(self, name: str, obj: Manifest) -> dict[str, Any]:
        """The object after an action; Argo CD patches what differs."""
        (script,) = (each["action.lua"] for each in self._actions(obj)["definitions"] if each["name"] == name)
        found: dict[str, Any] = _run(script, obj)
        return found

    def _actions(self, obj: Manifest) -> dict[str, Any]:
        text = self._data.get(f"resource.customizations.actions.secretset.dev_{obj['kind']}")
        found: dict[str, Any] = yaml.safe_load(text) if text else {"discovery.lua": "return {}", "definitions": []}
        return found


def _run(script: str, obj: Manifest) -> Any:
    lua = LuaRuntime(register_eval=False, register_builtins=False)
    lua.execute(_SANDBOX)
    lua.globals().obj = lua.table_from(json.loads(json.dumps(obj)), recursive=True)
    return _plain(lua.execute(script))


def _plain(value: Any) -> Any:
    """Lua's tables as JSON has them; an empty one is an object."""
    if lua_type(value) != "table":
        return value
    found = {key: _plain(each) for key, each in value.items()}
    numbered = bool(found) and set(found) == set(range(1, len(found) + 1))
    return [found[at] for at in sorted(found)] if numbered else found
