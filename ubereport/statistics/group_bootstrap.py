"""Intervals and correlations that evaluations are reported with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ubereport.core.arrays import FloatArray, IntArray
from ubereport.statistics.correlation import rank_correlation
from ubereport.statistics.estimates import Estimate

_MIN_GROUPS = 3


def share_with_wilson(n_hits: int, n: int, confidence: float) -> Estimate:
    """Return a share of stills with its Wilson interval; without a value where n is 0.

    Source: Wilson 1927; Newcombe, Stat Med 1998;17:857, method 3.
    """
    from scipy import stats  # evaluations are loaded without it

    method = "Wilson score interval"
    if n == 0:
        return Estimate(None, None, None, method, "no still of this kind", confidence)
    interval = stats.binomtest(n_hits, n).proportion_ci(confidence, method="wilson")
    low, high = float(interval.low), float(interval.high)
    return Estimate(n_hits / n, low, high, method, "", confidence)


class Resampler:
    """Bootstrap over groups: whole groups are drawn with replacement, never single stills.

    The same draws serve every number of an evaluation, so that numbers can be compared.

    Parameters
    ----------
    groups
        n group names, one a row.
    n_resamples, seed, confidence
        Of the bootstrap; percentile intervals.
    """

    def __init__(
        self, groups: Sequence[str], n_resamples: int, seed: int, confidence: float
    ) -> None:
        self.names, code = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
        self._rows = [np.flatnonzero(code == i) for i in range(len(self.names))]
        rng = np.random.default_rng(seed)
        # Drawn once: every number of an evaluation is resampled over the same groups.
        self._draws = rng.integers(0, max(1, len(self.names)), (n_resamples, len(self.names)))
        self._confidence = confidence

    @property
    def rows(self) -> list[IntArray]:
        """Rows of each group, in the order of `names`."""
        return [np.asarray(rows, dtype=np.int64) for rows in self._rows]

    def drawn_rows(self) -> Iterator[IntArray]:
        """Yield the rows of each draw, a group that was drawn twice with all of its rows twice."""
        for draw in self._draws:
            yield np.concatenate([self._rows[i] for i in draw]).astype(np.int64)

    def over_rows(self, values: FloatArray, statistic: Callable[[FloatArray], float]) -> Estimate:
        """Return `statistic` of all rows; `values` is (n,), NaN where a row has none."""
        present = values[~np.isnan(values)]
        if len(present) == 0:
            return self._nothing("no still of this kind")
        parts = [values[rows] for rows in self._rows]
        parts = [part[~np.isnan(part)] for part in parts]
        return self._with_interval(
            float(statistic(present)),
            parts,
            lambda drawn: float(statistic(np.concatenate(drawn))),
            "percentile bootstrap over groups",
        )

    def over_groups(self, values: FloatArray, statistic: Callable[[FloatArray], float]) -> Estimate:
        """Return the mean over groups of `statistic` within each group that has a value."""
        parts = [values[rows] for rows in self._rows]
        parts = [part[~np.isnan(part)] for part in parts]
        own = [np.array([statistic(part)]) if len(part) else part for part in parts]
        present = [value for value in own if len(value)]
        if not present:
            return self._nothing("no still of this kind")
        return self._with_interval(
            float(np.mean(np.concatenate(present))),
            own,
            lambda drawn: float(np.mean(np.concatenate(drawn))),
            "mean over groups, percentile bootstrap over groups",
        )

    def paired(
        self, first: FloatArray, second: FloatArray, statistic: Callable[[FloatArray], float]
    ) -> Estimate:
        """Return `statistic` of the differences first minus second, row by row."""
        return self.over_rows(first - second, statistic)

    def correlation(self, first: FloatArray, second: FloatArray) -> Estimate:
        """Return Spearman's correlation over rows that have both values."""
        is_known = ~np.isnan(first) & ~np.isnan(second)
        value = rank_correlation(first[is_known], second[is_known])
        method = "Spearman correlation, percentile bootstrap over groups"
        if value is None:
            return self._nothing("fewer than three stills, or one value only", method)
        pairs = np.column_stack([first, second])
        parts = [pairs[rows][is_known[rows]] for rows in self._rows]

        def of_drawn(drawn: list[FloatArray]) -> float:
            both = np.concatenate(drawn)
            correlation = rank_correlation(both[:, 0], both[:, 1])
            return np.nan if correlation is None else correlation

        return self._with_interval(value, parts, of_drawn, method)

    def _nothing(self, reason: str, method: str = "bootstrap over groups") -> Estimate:
        return Estimate(None, None, None, method, reason, self._confidence)

    def _with_interval(
        self,
        value: float,
        parts: list[FloatArray],
        of_drawn: Callable[[list[FloatArray]], float],
        method: str,
    ) -> Estimate:
        n_known = sum(len(part) > 0 for part in parts)
        if n_known < _MIN_GROUPS:
            reason = f"{n_known} group(s); an interval needs {_MIN_GROUPS}"
            return Estimate(value, None, None, method, reason, self._confidence)
        resampled = []
        for draw in self._draws:
            # A draw may hold only groups without any value. It says nothing then and is passed
            # over: as 0 it would pull the interval.
            groups = [parts[i] for i in draw if len(parts[i])]
            resampled.append(of_drawn(groups) if groups else np.nan)
        tail = (1 - self._confidence) / 2
        low, high = np.nanquantile(resampled, [tail, 1 - tail])
        return Estimate(value, float(low), float(high), method, "", self._confidence)
