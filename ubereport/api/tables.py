"""Series and events of a case as tables of a notebook."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, overload

from ubereport.core.events import HemostasisEvent
from ubereport.core.metrics import MetricValue
from ubereport.core.series import AreaSeries

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(eq=False, repr=False)
class Series:
    """The area over time of a case: one row a look, or a stretch that was lost and why.

    `area` is the frozen series that everything else is computed from.

    Examples
    --------
    >>> import ubereport
    >>> case = ubereport.read_case("results/C001")  # doctest: +SKIP
    >>> case.series.to_pandas().groupby("reason")["duration_s"].sum()  # doctest: +SKIP
    """

    area: AreaSeries

    def __len__(self) -> int:
        return len(self.area)

    def __repr__(self) -> str:
        """Return one line: rows, minutes and coverage."""
        minutes = f"{self.area.recorded_s / 60:.1f} min recorded"
        coverage = self.area.coverage_frac
        evaluable = "" if coverage is None else f", {100 * coverage:.1f} % evaluable"
        return f"<Series: {len(self)} rows, {minutes}{evaluable}>"

    def _repr_html_(self) -> str:
        frame: str = self.to_pandas().to_html(max_rows=10)
        return f"<p>{html.escape(repr(self))}</p>{frame}"

    def to_pandas(self) -> pd.DataFrame:
        """Return the columns of ``series.parquet``; areas are NaN where a row is not valid."""
        # Not at the top: pandas takes half a second to load, and few calls ask for a frame.
        import pandas as pd

        columns = {name: getattr(self.area, name) for name in self.area.columns}
        columns["reason"] = [str(reason) for reason in self.area.reason]
        return pd.DataFrame(columns)


class Events(Sequence[HemostasisEvent]):
    """The hemostasis events of a case, in the order of their onsets.

    Examples
    --------
    >>> import ubereport
    >>> case = ubereport.read_case("results/C001")  # doctest: +SKIP
    >>> case.events.to_pandas()["time_to_clear_s"].median()  # doctest: +SKIP
    """

    def __init__(self, events: Sequence[HemostasisEvent]) -> None:
        self._events = tuple(events)

    @overload
    def __getitem__(self, index: int) -> HemostasisEvent: ...
    @overload
    def __getitem__(self, index: slice) -> Events: ...
    def __getitem__(self, index: int | slice) -> HemostasisEvent | Events:
        selection = self._events[index]
        return Events(selection) if isinstance(selection, tuple) else selection

    def __len__(self) -> int:
        return len(self._events)

    def __repr__(self) -> str:
        """Return one line: how many, and how many were not seen to clear."""
        n_censored = sum(event.is_censored for event in self)
        return f"<Events: {len(self)}, {n_censored} not seen to clear>"

    def _repr_html_(self) -> str:
        frame: str = self.to_pandas().to_html(max_rows=20)
        return f"<p>{html.escape(repr(self))}</p>{frame}"

    def to_pandas(self) -> pd.DataFrame:
        """Return one row an event; times in seconds on the case clock, NaN where not seen."""
        import pandas as pd

        names = [field.name for field in dataclasses.fields(HemostasisEvent)]
        names += ["is_censored", "duration_s", "time_to_clear_s"]
        rows = [{name: getattr(event, name) for name in names} for event in self]
        frame = pd.DataFrame(rows, columns=names)
        # The same types for no event, for one that was not seen to clear, and for many.
        kinds = dict.fromkeys(names, "float64")
        kinds |= {name: "bool" for name in names if name.startswith("is_")}
        kinds |= dict.fromkeys(("censor_reason", "severity"), "object")
        frame = frame.astype(kinds)
        for name in ("censor_reason", "severity"):
            frame[name] = frame[name].map(str).astype("object")
        return frame


class Metrics(Mapping[str, MetricValue]):
    """The metrics of a case by their keys; a value is None, and says why, where there is none.

    Examples
    --------
    >>> import ubereport
    >>> case = ubereport.read_case("results/C001")  # doctest: +SKIP
    >>> case.metrics.to_pandas().set_index("key")["value"]  # doctest: +SKIP
    """

    def __init__(self, values: Sequence[MetricValue]) -> None:
        self._values = {value.key: value for value in values}

    def __getitem__(self, key: str) -> MetricValue:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        """Return one line: how many, and how many have no value."""
        n_missing = sum(value.value is None for value in self.values())
        return f"<Metrics: {len(self)}, {n_missing} without a value>"

    def _repr_html_(self) -> str:
        rows = [(m.key, "–" if m.value is None else f"{m.value:.4g}", m.unit, m.reason)
                for m in self.values()]  # fmt: skip
        return html_table(("metric", "value", "unit", "reason"), rows)

    def to_pandas(self) -> pd.DataFrame:
        """Return one row a metric: key, unit, value, reason, n, coverage_frac and the band."""
        import pandas as pd

        names = [field.name for field in dataclasses.fields(MetricValue)]
        rows = [{n: getattr(value, n) for n in names} for value in self.values()]
        return pd.DataFrame(rows, columns=names)


def html_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a small table for a notebook; every cell is escaped."""

    def row(cells: Sequence[object], tag: str) -> str:
        return "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells)

    body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    return f"<table><thead><tr>{row(head, 'th')}</tr></thead><tbody>{body}</tbody></table>"
