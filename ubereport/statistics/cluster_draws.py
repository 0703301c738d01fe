"""Which cases a resampled cohort holds: whole surgeons, or whole cases inside surgeons."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import FloatArray, IntArray
from ubereport.statistics.distributions import t_reach


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """What is drawn: whole surgeons, or cases in the cells of surgeon and group.

    Parameters
    ----------
    is_surgeon_drawn
        False where surgeons stay and cases are drawn inside them.
    n_units
        (g,) float64, surgeons, or cases, that a group has; surgeons of unequal size count as the
        effective number of equal ones.
    n_strata
        (g,) strata that they are drawn in.
    """

    is_surgeon_drawn: bool
    n_units: FloatArray
    n_strata: IntArray

    def reach(self, group: int, confidence: float) -> float:
        """Return how many bootstrap standard errors the interval of a group reaches.

        Student's t with the clusters' degrees of freedom, times ``sqrt(n / degrees)``: a bootstrap
        of n units shows only that share of their variance (Hesterberg, Am Stat 2015;69:371).
        """
        return t_reach(confidence, self._degrees(group)) * math.sqrt(self._inflation(group))

    def reach_of_difference(
        self, groups: tuple[int, int], variances: tuple[float, float], confidence: float
    ) -> float:
        """Return how far the interval of a difference reaches, in its own unit.

        Cases drawn inside each group: each group's bootstrap variance is corrected for its own
        number, and Welch and Satterthwaite's degrees of freedom are used: a group of three cases
        does not borrow those of thirty. Surgeons drawn as wholes: `variances` is (that of the
        difference, 0), and the group with fewer surgeons sets the degrees.
        """
        if self.is_surgeon_drawn:
            few = min(groups, key=self._degrees)
            return self.reach(few, confidence) * math.sqrt(sum(variances))
        # Welch's t with bootstrap variances: add the two variances, and let Satterthwaite's formula
        # say how many degrees of freedom the sum is worth; the less certain group weighs more.
        corrected = [v * self._inflation(g) for g, v in zip(groups, variances, strict=True)]
        total = sum(corrected)
        if total == 0:
            return 0.0
        parts = [v**2 / self._degrees(g) for g, v in zip(groups, corrected, strict=True)]
        degrees = total**2 / sum(parts)
        return t_reach(confidence, degrees) * math.sqrt(total)

    def _degrees(self, group: int) -> float:
        return max(float(self.n_units[group]) - int(self.n_strata[group]), 1.0)

    def _inflation(self, group: int) -> float:
        return max(float(self.n_units[group]), 2.0) / self._degrees(group)


def find_clusters(
    case_group: IntArray,
    case_surgeon: IntArray,
    case_events: IntArray,
    n_groups: int,
    min_surgeons: int,
) -> Clusters:
    """Draw surgeons where every group was used by `min_surgeons` of them, else cases.

    Parameters
    ----------
    case_group, case_surgeon, case_events
        (c,) group, surgeon and number of events of each case.
    """
    n_cases = np.bincount(case_group, minlength=n_groups)
    n_surgeons = np.array([len(np.unique(case_surgeon[case_group == g])) for g in range(n_groups)])
    if n_surgeons.min() >= min_surgeons:
        units = [
            _effective_number(case_surgeon[case_group == g], case_events[case_group == g])
            for g in range(n_groups)
        ]
        return Clusters(True, np.array(units), np.ones(n_groups, dtype=np.int64))
    # Degrees of freedom are cases less strata: where every surgeon has one case, as many strata as
    # surgeons would leave none.
    return Clusters(
        False, n_cases.astype(np.float64), np.minimum(n_surgeons, np.maximum(n_cases - 1, 1))
    )


def _effective_number(surgeon: IntArray, n_events: IntArray) -> float:
    """Return ``(Σ n)² / Σ n²`` over the events n of each surgeon, 1 or more.

    Few surgeons with most of the events carry fewer degrees of freedom than their number says.
    Source: Carter, Schnepel and Steigerwald, Rev Econ Stat 2017;99:698, for clusters that differ
    in size alone.
    """
    sizes = np.bincount(surgeon, weights=n_events)
    squares = float(np.sum(sizes**2))
    return float(sizes.sum()) ** 2 / squares if squares > 0 else 1.0


def case_weights(
    case_group: IntArray, case_surgeon: IntArray, clusters: Clusters, n_bootstrap: int, seed: int
) -> FloatArray:
    """Return (n_bootstrap, c) how often each case is drawn in each resampled cohort."""
    rng = np.random.default_rng(seed)
    surgeons, surgeon_of = np.unique(case_surgeon, return_inverse=True)
    if clusters.is_surgeon_drawn:
        # All surgeons of the cohort are drawn together, so that one who used both groups comes with
        # all his cases or with none.
        even = np.full(len(surgeons), 1 / len(surgeons))
        drawn = rng.multinomial(len(surgeons), even, size=n_bootstrap)
        return np.asarray(drawn[:, surgeon_of], dtype=np.float64)
    # A resample is how often each case is drawn: multinomial counts inside every cell, so that each
    # surgeon keeps his number of cases in each group.
    weights = np.zeros((n_bootstrap, len(surgeon_of)))
    for group in np.unique(case_group):
        for cases in _cells(np.flatnonzero(case_group == group), surgeon_of):
            n = len(cases)
            weights[:, cases] = rng.multinomial(n, np.full(n, 1 / n), size=n_bootstrap)
    return weights


def _cells(cases: IntArray, surgeon_of: IntArray) -> list[IntArray]:
    """Split the cases of a group by surgeon; surgeons with one case are drawn together.

    A cell of one case would always draw itself and hide its share of the spread.
    """
    cells = [cases[surgeon_of[cases] == surgeon] for surgeon in np.unique(surgeon_of[cases])]
    singles = [cell for cell in cells if len(cell) == 1]
    large = [cell for cell in cells if len(cell) > 1]
    if len(singles) == 1 and large:
        return [np.concatenate([large[0], singles[0]]), *large[1:]]
    return [*large, np.concatenate(singles)] if singles else large
