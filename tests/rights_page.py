"""The table in docs/security.md: what each account of the chart may do, and why. `make generate` writes it.

It is made of the rendered chart: the reasons are the comments above its rules. What no test uses is said too
(tests/rights-exceptions.yaml).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from deploy_files import NAMESPACE, template
from harness.rights import AGENT, Exceptions, account_of, qualified
from harness.rights_session import HUB, REGION, known

PAGE = Path(__file__).resolve().parents[1] / "docs" / "security.md"
_BEGIN, _END = "<!-- made by `make generate`, from the chart -->\n", "<!-- end of what is made -->\n"

# Who the accounts are, in this order, and the namespaces of the values that are rendered.
ACCOUNTS = {
    "secretset-operator": "The operator, on the hub and in each region",
    "secretset-webhook": "The webhook",
    "secretset-api": "The REST API",
    AGENT: f"A region that is served from inside: `{AGENT}-REGION`, on the hub",
    "secretset-test": "`helm test`, for as long as it runs",
    "secretset-uninstall": "The hook of `helm uninstall`, for as long as it runs",
}
SCOPES = {
    NAMESPACE: f"`{NAMESPACE}`",
    "shop": "each organization that is bound",
    "shop-us-west": "each regional namespace that is bound",
}


class Row(NamedTuple):
    """One rule, granted to one account."""

    account: str
    role: str
    scope: str
    resources: str
    verbs: str
    why: str


def rendered() -> str:
    """The page as it should be: what is written by hand, and the table.

    Raises:
        ValueError: the page has no place for it, or a rule has no reason.
    """
    text = PAGE.read_text()
    if text.count(_BEGIN) != 1 or text.count(_END) != 1:
        raise ValueError(f"{PAGE}: one '{_BEGIN.strip()}' and one '{_END.strip()}' are wanted")
    before, _, rest = text.partition(_BEGIN)
    return before + _BEGIN + table() + _END + rest.partition(_END)[2]


def table() -> str:
    """The tables of all accounts."""
    found = dict.fromkeys(row for values in (HUB, REGION) for row in rows(template(values)))
    parts = []
    for account in (*ACCOUNTS, *sorted({row.account for row in found} - ACCOUNTS.keys())):
        parts.append(f"\n### {ACCOUNTS.get(account, f'`{account}`')}\n\n")
        mine = [row for row in found if row.account == account]
        if not mine:
            parts.append("Nothing: it has no role, and its pods no token.\n")
            continue
        parts.append("| where | may | what | by | why |\n|---|---|---|---|---|\n")
        parts += [f"| {row.scope} | {row.verbs} | {row.resources} | `{row.role}` | {row.why} |\n" for row in mine]
    return "".join(parts) + "\n"


def rows(text: str) -> Iterator[Row]:
    """The rules that a rendered chart grants to accounts, in its order."""
    roles: dict[str, tuple[Any, str]] = {}
    bindings = []
    for document in re.split(r"^---\n", text, flags=re.MULTILINE):
        parsed = yaml.load(document, Loader=yaml.CSafeLoader)
        kind = (parsed or {}).get("kind")
        if kind in {"Role", "ClusterRole"}:
            roles[f"{kind} {parsed['metadata']['name']}"] = parsed["rules"], document
        elif kind in {"RoleBinding", "ClusterRoleBinding"}:
            bindings.append(parsed)
    exceptions = known()
    for binding in sorted(bindings, key=lambda each: str(each["kind"])):
        role = f"{binding['roleRef']['kind']} {binding['roleRef']['name']}"
        scope = SCOPES[binding["metadata"]["namespace"]] if binding["kind"] == "RoleBinding" else "the whole cluster"
        for subject in binding["subjects"]:
            if account := account_of(f"system:serviceaccount:{subject.get('namespace')}:{subject['name']}"):
                rules, document = roles[role]
                for rule, why in zip(rules, reasons(document), strict=True):
                    yield Row(account, role, scope, *_told(account, role, rule, why, exceptions))


def reasons(document: str) -> list[str]:
    """The comment above each rule of a role; where there is none, that above the role.

    Raises:
        ValueError: there is neither.
    """
    head, _, rules = document.partition("\nrules:\n")
    above = _comment([line for line in head.split("\n") if not line.startswith("# Source: ")])
    found, lines = [], []
    for line in rules.split("\n"):
        if line.startswith("#"):
            lines.append(line)
        elif line.startswith("- "):
            why = _comment(lines) or above
            if not why:
                raise ValueError(f"a rule without a comment: {document}")
            found.append(why)
            lines = []
    return found


def _comment(lines: list[str]) -> str:
    return " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))


def _told(account: str, role: str, rule: Any, why: str, exceptions: Exceptions) -> tuple[str, str, str]:
    """What, verbs, and why."""
    whole = [qualified(group, resource) for group in rule["apiGroups"] for resource in rule["resources"]]
    names = f" {', '.join(f'`{name}`' for name in rule['resourceNames'])}" if "resourceNames" in rule else ""
    for entry in (*exceptions.unused, *exceptions.sometimes):
        if (entry.account, entry.role) == (account, role) and entry.resource in whole and entry.verb in rule["verbs"]:
            why += f" No test is sure to use {entry.verb} of {entry.resource}: {entry.reason}"
    return f"{', '.join(whole)}{names}", ", ".join(rule["verbs"]), why.replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(rendered())
