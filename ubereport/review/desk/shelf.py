"""The cases that a review page offers: one folder, or a library of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ubereport.core.errors import CaseRecordError, UsageError
from ubereport.files.records.listing import list_cases
from ubereport.files.records.store import case_folders, count_review_lines, is_case_folder
from ubereport.review.desk.case_desk import CaseDesk
from ubereport.review.desk.case_pictures import CasePictures
from ubereport.review.desk.mask_network import MaskNetwork
from ubereport.review.desk.recordings import recording_files

_SHOWN_AT_ONCE = 2
"""Cases whose decoding processes live, two of 100 MiB a case: one in each of two tabs."""


class Shelf:
    """Cases by number; each is opened when it is first asked for.

    Parameters
    ----------
    folder
        A case folder, or a library of case folders.
    recordings
        Files, or folders of files, among which the parts of the cases are looked for.
    models
        Folder of bundles; None for those shipped.

    Raises
    ------
    UsageError
        If `folder` holds no case, or a recording is not there.
    """

    def __init__(self, folder: Path, recordings: Sequence[Path], models: Path | None) -> None:
        self._files = recording_files(recordings)
        self._models = models
        self._folders = _some_case_folders(folder)
        self.is_library = not is_case_folder(folder)
        self._desks: dict[int, CaseDesk] = {}
        # In the order in which they were last asked for.
        self._pictures: dict[int, CasePictures] = {}
        self._network = MaskNetwork()
        self._opening = threading.Lock()
        self._library = folder

    def desk(self, number: int) -> CaseDesk:
        """Return the case called `number`, opened.

        Raises
        ------
        UsageError
            If there is none of that number.
        CaseRecordError
            If its folder cannot be read any more.
        """
        if not 0 <= number < len(self._folders):
            raise UsageError(
                f"There is no case {number} here; there are {len(self._folders)}, counted from 0."
            )
        with self._opening:
            if number not in self._desks:
                self._desks[number] = CaseDesk(self._folders[number], self._files)
            return self._desks[number]

    def pictures(self, number: int) -> CasePictures:
        """Return the pictures of the case called `number`; raises as `desk`.

        The processes of cases that nobody looks at any more are ended.
        """
        desk = self.desk(number)
        with self._opening:
            pictures = self._pictures.pop(number, None)
            if pictures is None:
                pictures = CasePictures(desk, self._models, self._network)
            self._pictures[number] = pictures
            resting = list(self._pictures.values())[:-_SHOWN_AT_ONCE]
        for others in resting:
            others.rest()
        return pictures

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a case: id, headline, coverage, flags, and how far its review is."""
        if not self.is_library:
            return [_row(0, self.desk(0).folder, {})]
        listed = {row.folder: asdict(row) for row in list_cases(self._library)}
        return [
            _row(number, folder, listed.get(folder.name, {}))
            for number, folder in enumerate(self._folders)
        ]

    def close(self) -> None:
        """End the processes of all cases."""
        self._network.close()
        for pictures in self._pictures.values():
            pictures.close()


def _some_case_folders(folder: Path) -> tuple[Path, ...]:
    folders = case_folders(folder)
    if folders:
        return folders
    raise UsageError(
        "There is no case to review: the folder holds neither a case record (case.json and"
        " series.parquet) nor folders with one. Name a case folder or a library."
    )


def _row(number: int, folder: Path, listed: dict[str, Any]) -> dict[str, Any]:
    try:
        n_strokes = count_review_lines(folder)
    except OSError as error:
        raise CaseRecordError("The review of a case cannot be read.") from error
    return {"number": number, "n_strokes": n_strokes, **listed}
