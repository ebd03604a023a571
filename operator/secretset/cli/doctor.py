"""`secretset doctor`: whether all is there that sets need, as far as its user may see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from secretset.cli.options import Context, Kubeconfig, OperatorNamespaceOption, Organization, Output, OutputFormat

if TYPE_CHECKING:
    from secretset.domain.health import Finding


def doctor(
    namespace: Organization = None,
    output: Output = OutputFormat.TABLE,
    operator_namespace: OperatorNamespaceOption = "secretset-system",
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Look whether all is well: hub, CRDs, operator, versions, regions, sealing keys, your rights, and your sets.

    Each line is `ok`, `warn` (it works, but look at it), `fail`, or `unknown`: you may not see it, or nobody can
    through the API, as encryption at rest. What to do stands below. It changes nothing, and reads no Secret.

    Exit code 0: nothing failed; 1: something did; 2: there is no usable kubeconfig.

    Example: secretset doctor -n shop -o json
    """
    from secretset import __version__
    from secretset.actions.health import examine
    from secretset.cli.hub import FAILED, show
    from secretset.cli.session import HubOptions, on_session
    from secretset.domain.health import Level

    options = HubOptions(
        kubeconfig=kubeconfig, context=context, namespace=namespace, operator_namespace=operator_namespace
    )
    found = on_session("doctor", options, lambda session: examine(session, options.organization, __version__))
    if output is OutputFormat.TABLE:
        _show(found)
    else:
        show(output, {}, [finding.to_json() for finding in found])
    if any(finding.level is Level.FAIL for finding in found):
        raise typer.Exit(FAILED)


def _show(found: list[Finding]) -> None:
    from collections import Counter

    from secretset.cli.page import Page
    from secretset.domain.health import Level

    page, seen = Page(), Counter(finding.level for finding in found)
    rows = []
    for finding in found:
        rows.append((finding.level.value, finding.check, finding.says))
        if finding.to_do:
            rows.append(("", "", f"→ {finding.to_do}"))
    page.table(("STATE", "CHECK", "FOUND"), rows)
    page.title(", ".join(f"{seen[level]} {level}" for level in Level if seen[level]))
