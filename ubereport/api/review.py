"""The review page of a case or a library."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

from ubereport.core.errors import DependencyError


def review_cases(
    folder: Path,
    recordings: Sequence[Path],
    models: Path | None,
    port: int,
    on_address: Callable[[str], None],
    language: str,
) -> None:
    """Serve the page on this machine until its reader leaves; reports are rendered in `language`.

    `models` None takes the shipped bundles, `port` 0 a free one; `on_address` is told the address.

    Raises
    ------
    DependencyError
        If the extra `review` is not installed.
    UsageError
        If there is no case to review, a recording does not exist or the port is in use.
    """
    if importlib.util.find_spec("starlette") is None or importlib.util.find_spec("uvicorn") is None:
        raise DependencyError(
            "The review page needs the extra `review`, which is not installed. Run: pip install"
            " 'ubereport[review]'"
        )
    from ubereport.batch.case import rerender_case
    from ubereport.review.desk.serve import serve_review
    from ubereport.review.desk.shelf import Shelf

    def rendered(case_folder: Path) -> None:
        rerender_case(case_folder, lambda events: events, None, language=language)

    shelf = Shelf(folder, recordings, models)
    serve_review(shelf, port, on_address, rendered)
