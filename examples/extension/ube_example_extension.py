"""A metric and a report section of one's own: one small function each."""

import ubereport
from ubereport.core.case import CaseRecord


@ubereport.metric(
    title="Share of time with ≥ 30 % of the view obscured",
    unit="1",
    definition="Share of the evaluable time in which blood covered at least 30 % of the view.",
    direction="lower_is_better",
    upper_bound=1.0,
)
def impaired_share_30(case: ubereport.CaseInput) -> ubereport.Measurement:
    series = case.series
    seen_s = series.duration_s[series.is_valid]
    if seen_s.sum() == 0:
        return ubereport.Measurement(None, 0, case.coverage_frac, "no evaluable time")
    obscured_s = seen_s[series.area_frac[series.is_valid] >= 0.30].sum()
    share = float(obscured_s / seen_s.sum())
    return ubereport.Measurement(share, len(seen_s), case.coverage_frac)


def longest_events(record: CaseRecord) -> ubereport.Section | None:
    longest = sorted(record.events, key=lambda event: event.duration_s, reverse=True)[:3]
    if not longest:
        return None
    return ubereport.Section(
        title="Longest events",
        paragraphs=["From onset to clearing, or to the last moment that was seen."],
        head=["Onset, s", "Duration, s"],
        rows=[[f"{event.onset_s:.1f}", f"{event.duration_s:.1f}"] for event in longest],
    )
