from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ubereport.core.errors import UsageError
from ubereport.files.names import default_case_id, folder_name, natural_key, validate_case_id

HARMLESS = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
MARKS = set("\u200e\u200f\u061c")
HOSTILE = [
    "../../etc/passwd",
    "..",
    ".",
    "/etc/passwd",
    "C:\\Windows",
    "\\\\server\\share",
    "CON",
    "nul.txt",
    "-rf",
    "=cmd|' /C calc'!A0",
    "<img src=x onerror=alert(1)>",
    "{{7*7}}",
    "$(reboot)",
    "a" * 120,
    "患者 14",
    "trailing dot.",
    " spaces ",
    "*?[",
]


@pytest.mark.parametrize("case_id", HOSTILE)
def test_a_hostile_id_gives_a_harmless_folder(case_id, tmp_path):
    name = folder_name(case_id)
    assert HARMLESS.fullmatch(name)
    assert len(name) <= 60
    assert (tmp_path / name).resolve().parent == tmp_path.resolve()
    assert name.partition("-")[0].upper() not in {"CON", "NUL", "AUX", "PRN"} or "-" in name


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Case", "case"),
        ("café", unicodedata.normalize("NFD", "café")),
        ("a/b", "a-b"),
        ("a", "a "),
        ("ﬁ", "fi"),
        ("x" * 60, "x" * 61),
        ("患者", "息者"),
    ],
)
def test_ids_that_look_alike_get_different_folders(first, second):
    assert first != second
    assert folder_name(first).casefold() != folder_name(second).casefold()


@given(st.text(min_size=1, max_size=130))
def test_every_text_is_refused_or_harmless(text):
    is_shown = not any(unicodedata.category(c) in {"Cc", "Cs", "Cn", "Zl", "Zp"} for c in text)
    is_shown = is_shown and not any(unicodedata.bidirectional(c) in BIDI for c in text)
    if text.strip() and len(text) <= 120 and is_shown and not set(text) & MARKS:
        assert HARMLESS.fullmatch(folder_name(text))
    else:
        with pytest.raises(UsageError):
            folder_name(text)


@pytest.mark.parametrize(
    ("case_id", "reason"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("a" * 121, "121 characters"),
        ("a" * 300, "300 characters"),
        ("a\0b", r"U\+0000"),
        ("a\nb", r"U\+000A"),
        ("a\tb", r"U\+0009"),
        ("a\u202eb", r"U\+202E"),
        ("a\u2028b", r"U\+2028"),
        ("a\ud800b", r"U\+D800"),
    ],
)
def test_an_id_that_cannot_be_shown_is_refused_in_one_sentence(case_id, reason):
    with pytest.raises(UsageError, match=reason) as caught:
        folder_name(case_id)
    assert "Give another --case-id" in str(caught.value)
    assert caught.value.exit_code == 2
    assert str(caught.value).isprintable()


def test_a_valid_id_is_kept_as_it_is():
    assert validate_case_id("UBE 2026/014 é") == "UBE 2026/014 é"


def test_the_default_id_comes_from_the_recording_alone():
    first, second = "3f9a2c41d0" + "0" * 54, "b" * 64
    assert default_case_id([first]) == "case-3f9a2c41d0"
    both = {default_case_id([first, second]), default_case_id([second, first])}
    assert len(both | {default_case_id([first]), default_case_id([second])}) == 4
    assert all(re.fullmatch(r"case-[0-9a-f]{10}", case_id) for case_id in both)


@pytest.mark.parametrize("digests", [[], ["abc"], ["g" * 64], ["A" * 64]])
def test_the_default_id_needs_digests(digests):
    with pytest.raises(ValueError, match="SHA-256"):
        default_case_id(digests)


def test_parts_are_in_the_order_that_people_count_in():
    names = ["part10.mp4", "Part2.mp4", "part1\u00b22.mp4", "part.mp4"]
    assert sorted(names, key=natural_key) == [
        "part1\u00b22.mp4", "Part2.mp4", "part10.mp4", "part.mp4",
    ]  # fmt: skip
