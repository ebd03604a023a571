"""The plan over time: a crash, an adoption, a lost Secret, an older copy of it, a new fingerprint key."""

from dataclasses import replace

import pytest

from builders import deployment
from secretset.domain import names
from secretset.domain.fingerprint import Keyring
from secretset.domain.plan import Write
from secretset.domain.workloads import Workload
from unit.slots import KEYRING, Slot, delivered, wanted

NONE, CREATE, UPDATE, REPLACE = Write
WEB = deployment("web").env_from("app").workload()


def targets(slot: Slot) -> list[str]:
    return list(slot.wave.targets) if slot.wave else []


def restarted(slot: Slot, *workloads: Workload) -> list[Workload]:
    """The workloads after the wave of the Secret was carried out."""
    assert slot.wave is not None
    return [deployment(w.name).env_from("app").restarted_for("app", slot.wave.id).workload() for w in workloads]


def test_an_older_copy_of_the_secret_is_drift_and_its_wave_is_over() -> None:
    slot = delivered()
    slot.deliver(wanted({"A": b"2"}), slot.status(), workloads=[WEB])
    older = slot.copy()
    slot.deliver(wanted({"A": b"3"}), slot.status(), workloads=restarted(slot, WEB))
    done, memory = restarted(slot, WEB), slot.status()
    found = slot.put_back(older).deliver(wanted({"A": b"3"}), memory, workloads=done)
    assert (found.write, found.drift, found.content_changed, found.revision) == (UPDATE, True, False, 3)
    assert slot.status() == memory
    assert slot.outlook(done).finished, "the older copy's wave restarts them once more"


def test_a_secret_that_is_newer_than_the_status_is_believed() -> None:
    """The operator crashed after the write, before the status."""
    slot = delivered()
    before = slot.status()
    slot.deliver(wanted({"A": b"2"}), before, workloads=[WEB])
    assert slot.deliver(wanted({"A": b"2"}), before, workloads=[WEB]).write is NONE
    assert targets(slot) == ["uid-web"]


@pytest.mark.parametrize("remembered", [True, False])
def test_a_secret_of_the_set_s_predecessor_is_adopted_without_a_restart(remembered: bool) -> None:
    slot = delivered()
    memory = slot.status()
    found = slot.deliver(wanted(uid="new-uid"), memory if remembered else None, workloads=[WEB])
    assert (found.write, found.drift, found.content_changed, found.first) == (UPDATE, False, False, False)
    assert slot.status() == memory
    assert slot.wave is None
    assert slot.deliver(wanted(uid="new-uid"), memory, workloads=[WEB]).write is NONE


def test_a_wave_survives_adoption_and_repair() -> None:
    slot = delivered()
    slot.deliver(wanted({"A": b"2"}), slot.status(), workloads=[WEB])
    pending = slot.wave
    slot.deliver(wanted({"A": b"2"}, uid="new-uid"), slot.status())
    slot.edit(lambda obj: obj.pop("data")).deliver(wanted({"A": b"2"}, uid="new-uid"), slot.status())
    assert slot.wave == pending
    slot.obj, memory = None, slot.status()
    slot.deliver(wanted({"A": b"2"}, uid="new-uid"), memory, remembered=pending)
    assert slot.wave == pending


def test_damaged_marks_without_a_status_count_as_a_first_delivery() -> None:
    slot = delivered().edit(lambda obj: obj["metadata"]["annotations"].pop(names.ANNOTATION_KEYS))
    found = slot.deliver(wanted(), None, workloads=[WEB])
    assert (found.write, found.first, found.drift) == (UPDATE, True, False)
    assert slot.wave is None


def test_a_new_fingerprint_key_marks_the_secret_anew_and_restarts_nothing() -> None:
    """Else the old key could never be dropped: all content would look changed (design.md, "fingerprint")."""
    old = Keyring(keys={"k0": b"0" * 32}, current="k0")
    slot = Slot()
    slot.deliver(wanted(), keyring=old)
    memory = slot.status()
    found = slot.deliver(wanted(), memory, workloads=[WEB], second=9)
    assert (found.write, found.drift, found.content_changed) == (UPDATE, False, False)
    assert slot.status().fingerprint.startswith("k1.")
    assert slot.status().keys == memory.keys
    without = Keyring(keys={"k1": KEYRING.keys["k1"]}, current="k1")
    assert slot.deliver(wanted(), slot.status(), keyring=without).write is NONE


def test_a_wave_has_an_id_of_its_own_even_after_all_memory_was_lost() -> None:
    """The Secret and the status are gone: the revision begins anew, but the workloads still bear their marks."""
    slot = delivered({"A": b"1"})
    slot.deliver(wanted({"A": b"2"}), slot.status(), workloads=[WEB])
    done = restarted(slot, WEB)
    slot.obj = None
    slot.deliver(wanted({"A": b"3"}), None, workloads=done, second=8)
    slot.deliver(wanted({"A": b"4"}), slot.status(), workloads=done, second=9)
    assert not slot.outlook(done).finished


def test_a_wave_has_an_id_of_its_own_if_the_status_missed_the_one_before() -> None:
    """Written and restarted, but a crash came before the status; then the Secret was deleted, the content changed."""
    slot = delivered({"A": b"1"})
    before = slot.status()
    slot.deliver(wanted({"A": b"2"}), before, workloads=[WEB])
    done = restarted(slot, WEB)
    slot.obj = None
    slot.deliver(wanted({"A": b"3"}), before, workloads=done, second=9)
    assert not slot.outlook(done).finished


def test_a_revision_as_high_as_somebody_can_write_it_does_not_make_every_pass_write() -> None:
    slot = delivered().edit(lambda obj: obj["metadata"]["annotations"].update({names.ANNOTATION_REVISION: "9" * 9}))
    revision = slot.deliver(wanted({"A": b"2"}), None).revision
    memory = replace(slot.status(), revision=revision)
    slot.deliver(wanted({"A": b"2"}), memory)
    assert slot.deliver(wanted({"A": b"2"}), memory).write is NONE


def test_a_wave_that_is_decided_again_for_the_same_content_is_the_same_wave() -> None:
    """Written and restarted, but a crash came before the status; then the Secret was deleted: no second restart."""
    slot = delivered({"A": b"1"})
    before = slot.status()
    slot.deliver(wanted({"A": b"2"}), before, workloads=[WEB])
    done = restarted(slot, WEB)
    slot.obj = None
    slot.deliver(wanted({"A": b"2"}), before, workloads=done, second=9)
    assert slot.outlook(done).finished


def test_the_time_of_the_last_change_is_kept_though_the_changed_key_is_gone() -> None:
    """A repair of the Secret set it back to the time of the newest key that is left."""
    slot = delivered({"A": b"1", "B": b"2"})
    slot.deliver(wanted({"A": b"1"}), slot.status(), second=5)
    memory = slot.status()
    for _ in range(2):
        slot.edit(lambda obj: obj.pop("data")).deliver(wanted({"A": b"1"}), memory, second=9)
        assert slot.status() == memory
        slot.obj = None  # then the status alone knows
        slot.deliver(wanted({"A": b"1"}), memory, second=9)


def test_a_damaged_time_of_the_last_change_is_mended() -> None:
    """Else the status told of a change at every pass, as it named the time of the pass."""
    slot = delivered()
    memory = slot.status()
    slot.edit(lambda obj: obj["metadata"]["annotations"].update({names.ANNOTATION_UPDATED: "yesterday"}))
    record = slot.record()
    assert record is not None
    assert not record.intact
    found = slot.deliver(wanted(), memory, second=9)
    assert (found.write, found.drift) == (UPDATE, False)
    assert slot.status() == memory


@pytest.mark.parametrize("asked", [None, "earlier"])
def test_a_request_that_was_carried_out_is_not_asked_for_again_by_a_copy_that_lacks_it(asked: str | None) -> None:
    """Its annotation was taken off the Secret, or it was replaced by a copy from before, of the same revision."""
    slot = delivered(ask="earlier")
    slot.deliver(wanted(ask="earlier"), slot.status())
    older = slot.copy()
    slot.deliver(wanted(ask="later"), slot.status(), workloads=[WEB])
    done, over = restarted(slot, WEB), slot.wave
    assert over is not None
    memory = replace(slot.status(), asked="later", restarted=over.id)
    older["metadata"]["annotations"].pop(names.ANNOTATION_ASKED)
    older["metadata"]["annotations"] |= {names.ANNOTATION_ASKED: asked} if asked else {}
    found = slot.put_back(older).deliver(wanted(ask="later"), memory, workloads=done)
    assert (found.write, found.asked, found.outdated) == (UPDATE, False, asked is not None)
    assert slot.outlook(done, memory).finished
    marks = slot.secret.marks
    assert marks is not None
    assert marks.asked == "later"
