"""Edits of a manifest's text: they change the entries in question, and keep every other line."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from secretset.cli import manifests
from secretset.cli.manifest_edits import Edits
from unit.sealed import SET

keys = st.sampled_from(["A", "B", "yes", "k-1", "1e3", "on_"])
entries = st.sampled_from(
    [
        "{{value: x}}",
        "{{ sealed:  hpke1.y }} # note",
        "\n{i}  value: x",
        "\n{i}  # why\n{i}  value: |\n{i}    a\n{i}     b",
        '\n{i}  "value": "x" # note\n\n',
        "\n{i}  valueFrom:\n{i}    secretKeyRef:\n{i}      name: a\n{i}      key: b",
        "",
    ]
)


@given(st.dictionaries(keys, entries, min_size=1), st.dictionaries(keys, st.just("hpke1.z"), min_size=1), st.data())
def test_edits_change_what_they_should_and_keep_every_other_line(
    there: dict[str, str], put: dict[str, str], data: st.DataObject
) -> None:
    indent = " " * data.draw(st.integers(3, 6))
    lines = [f'{indent}"{key}": {form.format(i=indent)}'.rstrip(" ") for key, form in there.items()]
    tail = data.draw(st.sampled_from(["", "\n", "\n  region: eu\n", "\n# end\n---\n# other\na: b\n"]))
    if "|" in lines[-1]:  # the end of the file would be the end of a value
        tail = tail or "\n"
    text = SET + "  data:\n" + "\n".join(lines) + tail
    manifest = manifests.read(text)
    (target,) = manifest.sets
    edits = Edits(manifest)
    for key, sealed in put.items():
        edits.put(target, key, sealed)
    made = edits.result()
    wanted = yaml.safe_load(text.split("---\n#")[0])
    wanted["spec"]["data"].update({key: {"sealed": sealed} for key, sealed in put.items()})
    assert yaml.safe_load(made.split("---\n#")[0]) == wanted
    assert list(wanted["spec"]["data"]) == list(yaml.safe_load(made.split("---\n#")[0])["spec"]["data"])
    kept = [key for key in there if key not in put]
    for key in kept:
        assert there[key].format(i=indent).rstrip() in made


def test_only_sealed_values_get_into_a_manifest() -> None:
    manifest = manifests.read(SET + "  data: {}")
    with pytest.raises(ValueError, match="not a sealed value"):
        Edits(manifest).put(manifest.sets[0], "A", "hpke1.x}")
