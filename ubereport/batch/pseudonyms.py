"""Surgeons under pseudonyms; who is who lies in a key file apart from the library."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from ubereport.batch.manifest import Manifest, ManifestCase
from ubereport.core.errors import ManifestError
from ubereport.files.atomic import write_file

COLUMN = "surgeon"


def default_key_file(library: Path) -> Path:
    """Return the key file beside the library, so that copying the library takes no names along."""
    # A library given as "." has no name to call the key file by, and no parent outside of itself.
    resolved = library.resolve()
    return resolved.parent / f"{resolved.name}.keys.json"


def pseudonymized(manifest: Manifest, key_file: Path) -> Manifest:
    """Return the manifest with S1, S2, … for its surgeons, the same ones in every later run.

    Raises
    ------
    ManifestError
        If the key file exists and is none, or may not be read; names would otherwise get new
        pseudonyms.
    OutputError
        If a new pseudonym cannot be written down.
    """
    keys = _read_keys(key_file)
    n_known = len(keys)
    cases = tuple(_renamed(case, keys) for case in manifest.cases)
    if len(keys) > n_known:
        text = json.dumps({"surgeons": keys}, indent=1, ensure_ascii=False)
        # Who is who is for the owner of the library alone.
        write_file(key_file, f"{text}\n".encode(), is_private=True)
    return replace(manifest, cases=cases)


def _renamed(case: ManifestCase, keys: dict[str, str]) -> ManifestCase:
    name = case.covariates.get(COLUMN)
    if name is None:
        return case
    # Numbered in the order of the manifest and never reused; white space is folded, other spellings
    # are other people until somebody says so.
    pseudonym = keys.setdefault(" ".join(str(name).split()), f"S{len(keys) + 1}")
    return replace(case, covariates={**case.covariates, COLUMN: pseudonym})


def _read_keys(key_file: Path) -> dict[str, str]:
    try:
        surgeons = json.loads(key_file.read_text(encoding="utf-8"))["surgeons"]
        return {str(name): str(pseudonym) for name, pseudonym in surgeons.items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError:
        # The file may be whole: a backup, or another file, would be the wrong thing to reach for.
        raise ManifestError(
            "The key file of pseudonyms may not be read by you. Ask whoever owns it for access; "
            "without it surgeons would get new pseudonyms."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ManifestError(
            "The key file of pseudonyms cannot be read. Bring it back from a backup, or name "
            "another with --keys; a new one would give surgeons new pseudonyms."
        ) from None
