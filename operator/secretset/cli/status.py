"""`secretset status`: one set at a glance."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from secretset.cli.options import Context, Kubeconfig, OperatorNamespaceOption, Organization, Output, OutputFormat
from secretset.cli.set_options import SetName, check_name

if TYPE_CHECKING:
    from secretset.actions.overview import Overview
    from secretset.cli.page import Page
    from secretset.domain.set_view import KeyView


def status(
    name: SetName,
    namespace: Organization = None,
    output: Output = OutputFormat.TABLE,
    operator_namespace: OperatorNamespaceOption = "secretset-system",
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show how a set stands: its phase, why, and what to do; its keys, the workloads that use it, and what happened.

    Of each key: when its value last changed, and where it comes from: the sealing key that opens it and its age, or a
    Secret of the organization. Never a value.

    Exit code 0: it was shown, however it stands (`secretset wait` tells by its code); 1: there is no such set; 2: the
    hub could not be asked, or refused.

    Example: secretset status checkout -n shop
    """
    check_name(name)
    from secretset.actions import overview, sets
    from secretset.actions.session import Session
    from secretset.cli.session import HubOptions, on_session
    from secretset.cli.set_views import show_object

    options = HubOptions(
        kubeconfig=kubeconfig, context=context, namespace=namespace, operator_namespace=operator_namespace
    )

    async def look(session: Session) -> Overview:
        return await overview.overview(session, await sets.find(session, options.organization, name))

    found = on_session("status", options, look)
    if output is OutputFormat.TABLE:
        show(found, datetime.now(UTC))
    else:
        show_object(output, found.to_json())


def show(found: Overview, now: datetime) -> None:
    """Print the page of a set."""
    from secretset.cli.page import Page
    from secretset.domain.ages import age

    view, page = found.view, Page()
    ref = view.secret_ref or {}
    page.title(f"{view.key.kind} {view.organization}/{view.name}")
    page.fields(
        {
            "Status": f"{view.phase}{f' ({view.reason})' if view.reason else ''}{', being deleted' * view.going}",
            "Why": view.message,
            "To do": found.to_do,
            "Region": view.region or "not chosen yet",
            "": found.region_trouble,
            "Secret": f"{ref.get('namespace')}/{ref.get('name')}" if ref else "not delivered yet",
            "Registry": f"{view.username}@{view.host}" if view.host else "",
            "Description": view.description or "",
            "Metadata": ", ".join(f"{name}={value}" for name, value in view.metadata.items()),
            "Created": f"{age(view.created_at, now)} ago",
            "Updated": f"{age(view.updated_at, now)} ago, revision {view.revision}" if view.updated_at else "",
        }
    )
    page.title(f"Keys ({len(view.keys)})")
    rows = [
        (key.name, age(key.updated_at, now), age(key.created_at, now), _origin(found, key, now)) for key in view.keys
    ]
    page.table(("KEY", "UPDATED", "CREATED", "VALUE"), rows)
    _show_workloads(page, found)
    page.title("Events")
    if not found.events:
        page.line("You may not see events there." if found.events is None else "None lately.")
        return
    told = [(age(e.at, now), "Warning" if e.warning else "Normal", e.reason, e.note) for e in found.events]
    page.table(("AGE", "TYPE", "REASON", "WHAT"), told)


def _origin(found: Overview, key: KeyView, now: datetime) -> str:
    """Where the value of a key comes from."""
    from secretset.domain.ages import age
    from secretset.domain.sealing_keys import text_of

    sealing = found.sealing(key)
    if sealing is None:
        return f"from Secret {key.source}" if key.source else "-"
    if sealing.created is None:
        return f"sealed for {sealing.kid} ({sealing.state})"
    return f"sealed for {sealing.kid} ({sealing.state}, {age(text_of(sealing.created), now)} old)"


def _show_workloads(page: Page, found: Overview) -> None:
    workloads = found.view.workloads
    counts = [
        f"{workloads[state]} {state}" for state in ("current", "restarting", "held", "stalled") if workloads.get(state)
    ]
    bound = workloads.get("bound", 0)
    page.title(f"Workloads ({', '.join(counts) or bound})")
    rollout = found.view.condition("RolledOut")
    if not bound:
        page.line(f"None uses it yet: secretset bind DEPLOYMENT {found.view.name} -n {found.view.organization}")
        return
    if rollout is not None:
        page.line(str(rollout.get("message") or ""))
    items = workloads.get("items") or ()
    rows = [
        (
            f"{i.get('kind', '').lower()}/{i.get('name')}",
            i.get("state", ""),
            str(i.get("revision") or "-"),
            i.get("message") or "",
        )
        for i in items
    ]
    page.table(("WORKLOAD", "STATE", "REVISION", "WHY"), rows)
    if len(items) < bound:
        page.line(f"… and {bound - len(items)} more.")
