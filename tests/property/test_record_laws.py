"""Laws of records: what is read is what was written, or it is refused by the name of its file."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.records import read_json, read_record, understood, write_record

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FACTS = st.dictionaries(st.text().filter(lambda key: key not in ("sha256", "file")), VALUES, max_size=4)


@settings(max_examples=25)
@given(FACTS, st.data())
def test_any_change_of_a_byte_is_seen_or_changes_nothing(facts, data):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "a.json"
        write_record(path, facts)
        assert read_record(path) == read_json(path) == facts
        whole = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(whole)
        try:
            again = read_record(path)
        except ValueError as error:
            again, told = facts, str(error)
            assert "a.json" in told
        assert again == facts


@settings(max_examples=25)
@given(FACTS)
def test_a_record_is_of_its_own_file_alone(facts):
    with tempfile.TemporaryDirectory() as directory:
        one, two = Path(directory) / "a.json", Path(directory) / "b.json"
        write_record(one, facts)
        two.write_bytes(one.read_bytes())
        with pytest.raises(ValueError, match=r"b.json` should be as it was written; found the content of an"):
            read_record(two)


@pytest.mark.parametrize("text", ["", "null", "[]", "{", "[" * 5000, '{"a": 1', "\x00"])
def test_what_is_no_object_is_refused_by_name(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    for read in (read_json, read_record):
        with pytest.raises(ValueError, match=r"a\.json"):
            read(tmp_path / "a.json")


def test_keys_that_are_numbers_become_text_before_they_are_hashed(tmp_path):
    write_record(tmp_path / "a.json", {"by": {10: 1, 9: 2}})
    assert read_record(tmp_path / "a.json") == {"by": {"10": 1, "9": 2}}
    (tmp_path / "old.json").write_text(json.dumps({"a": 1}))
    assert read_json(tmp_path / "old.json") == {"a": 1}
    with pytest.raises(ValueError, match="no hash in it"):
        read_record(tmp_path / "old.json")


def test_what_is_told_already_stays_as_it_was_told(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(ValueError, match="no hash in it"), understood(tmp_path / "b.json"):
        read_record(tmp_path / "a.json")
    foreign = r"b.json` should be what this release writes; found TypeError"
    with pytest.raises(ValueError, match=foreign), understood(tmp_path / "b.json"):
        len(3)
    with pytest.raises(FileNotFoundError), understood(tmp_path / "b.json"):
        read_record(tmp_path / "none.json")
