"""Case ids and folder names made from them, endings of recordings, the order of names."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

from ubereport.core.errors import UsageError

RECORDING_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".asf", ".mpg", ".mpeg"),
        *(".m2v", ".vob", ".ts", ".m2ts", ".mts", ".mxf", ".flv", ".dcm"),
    }
)
"""Endings of the names of recordings, in small letters."""
MAX_CASE_ID_CHARACTERS = 120
_SLUG_CHARACTERS = 40
_HASH_DIGITS = 12
_ID_DIGITS = 10
_FORBIDDEN_CATEGORIES = ("Cc", "Cs", "Cn", "Zl", "Zp")
_BIDI_CONTROLS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


def validate_case_id(case_id: str) -> str:
    """Return `case_id` unchanged if it can stand in files, tables and reports.

    Any printable text does, spaces, slashes and dots included, because no path is ever made from
    it (`folder_name`).

    Raises
    ------
    UsageError
        If it is empty or blank, longer than 120 characters, or has characters that cannot be
        seen: control characters, NUL, line breaks, writing-direction overrides.
    """
    allowed = f"Allowed: 1 to {MAX_CASE_ID_CHARACTERS} visible characters. Give another --case-id."
    if not case_id.strip():
        raise UsageError(f"The case id is empty. {allowed}")
    if len(case_id) > MAX_CASE_ID_CHARACTERS:
        raise UsageError(f"The case id has {len(case_id)} characters. {allowed}")
    for character in case_id:
        if unicodedata.category(character) in _FORBIDDEN_CATEGORIES or character in _BIDI_CONTROLS:
            raise UsageError(
                f"The case id contains the invisible character U+{ord(character):04X}. {allowed}"
            )
    return case_id


def folder_name(case_id: str) -> str:
    """Return the name of the folder of a case: a readable slug and a hash of the exact id.

    Only ``a-z 0-9 -`` occur, so that it means the same on every file system. Ids that differ in
    case or in Unicode normalization only get different folders.

    Raises
    ------
    UsageError
        As `validate_case_id`.

    Examples
    --------
    >>> folder_name("UBE 2026/014")
    'ube-2026-014-1db65d4ef6d0'
    """
    digest = hashlib.sha256(validate_case_id(case_id).encode("utf-8")).hexdigest()
    # The slug is for people and may be the same for two ids; what tells cases apart is the digest
    # of the exact id.
    decomposed = unicodedata.normalize("NFKD", case_id).encode("ascii", "ignore").decode("ascii")
    slug = re.sub(r"[^a-z0-9]+", "-", decomposed.lower())[:_SLUG_CHARACTERS].strip("-")
    return f"{slug or 'case'}-{digest[:_HASH_DIGITS]}"


def default_case_id(part_sha256: Sequence[str]) -> str:
    """Return a pseudonymous id made from the recording alone, the same each time.

    Parameters
    ----------
    part_sha256
        Hex digest of each part, in order; at least one.

    Raises
    ------
    ValueError
        If there is no part or a digest is not 64 hex digits.

    Examples
    --------
    >>> default_case_id(["3f9a2c41d0" + 54 * "0"])
    'case-3f9a2c41d0'
    """
    if not part_sha256 or not all(re.fullmatch(r"[0-9a-f]{64}", d) for d in part_sha256):
        raise ValueError("a case id is made from the SHA-256 hex digests of at least one part")
    # A recording of one file keeps its own digest, so that its id can be checked with any tool.
    digest = part_sha256[0]
    if len(part_sha256) > 1:
        digest = hashlib.sha256("\n".join(part_sha256).encode("ascii")).hexdigest()
    return f"case-{digest[:_ID_DIGITS]}"


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key that puts ``part2`` before ``part10``."""
    # Numbers before text and each marked as what it is, since Python compares no number with a
    # text.
    pieces = re.split(r"(\d+)", name.casefold())
    return tuple((0, int(p)) if p.isdecimal() else (1, p) for p in pieces if p)
