"""What must be kept in mind: with every comparison and audit, and with this one alone."""

from __future__ import annotations

from ubereport.cohort.audit_results import Audit
from ubereport.cohort.comparison_results import Comparison
from ubereport.cohort.table import CohortTable
from ubereport.language.speaking import told

_OF_THE_NUMBERS = (
    "The numbers say how much of the view was obscured by blood, as a model measured it. They are "
    "not blood loss. Higher pump pressure can hide a bleeder.",
    "For research and departmental quality review; not a medical device, not for diagnosis, not "
    "for judging one person.",
)
NOT_RANDOMIZED = (
    "The cases were not randomized. A difference between groups is a difference between the cases "
    "that got them; it does not show what caused it."
)
_COMPARISON = (
    NOT_RANDOMIZED,
    "Confounding by indication: hemostatic agents are used because it bleeds. A technique kept for "
    "difficult bleeding looks worse than it is, and adjusting for what the manifest holds mends "
    "this only in part.",
    "Immortal time: a technique used late in a case cannot have changed the minutes before it, and "
    "an agent that is given only to bleeding that lasts meets events that have already lasted. "
    "Time to clear counts from the onset of an event, not from the use of the technique.",
    *_OF_THE_NUMBERS,
)
_AUDIT = (
    "A signal says that a case or a stretch of cases differs from the rest by more than chance "
    "makes likely. It does not say why, and it does not say that anyone did wrong.",
    "Surgeons appear under pseudonyms and are not ranked. Cases differ in difficulty, and control "
    "charts and funnel plots are not adjusted for it.",
    *_OF_THE_NUMBERS,
)


def comparison_caveats(table: CohortTable, by: str) -> tuple[str, ...]:
    """Return what this comparison must add, and what every comparison prints."""
    own = []
    n_other = table.n_set_aside
    if n_other == 1:
        own.append(
            "1 case was measured with another model or other settings and is left out; numbers of "
            "different models are never mixed. Analyze it again to include it."
        )
    elif n_other:
        own.append(
            f"{n_other} cases were measured with another model or other settings and are left out; "
            "numbers of different models are never mixed. Analyze them again to include them."
        )
    own += [*unread_caveat(len(table.unread)), *review_caveat(table), *_versions_caveat(table)]
    if by != "technique":
        own.append(f"Groups are formed by {by}, not by technique.")
    return (*own, *_COMPARISON)


def audit_caveats(table: CohortTable) -> tuple[str, ...]:
    """Return what this audit must add, and what every audit prints."""
    own = [*review_caveat(table), *_versions_caveat(table)]
    n_other = table.n_set_aside
    if n_other == 1:
        own.insert(
            0,
            f"The library mixes {len(table.models)} ways of measuring (model or settings). 1 case "
            "measured in another way than most is in the case table only; analyze it again to "
            "bring it into the charts.",
        )
    elif n_other:
        own.insert(
            0,
            f"The library mixes {len(table.models)} ways of measuring (model or settings). "
            f"{n_other} cases measured in another way than most are in the case table only; "
            "analyze them again to bring them into the charts.",
        )
    return (*own, *_AUDIT)


def spoken_caveats(result: Comparison | Audit) -> tuple[str, ...]:
    """Return what must be kept in mind with this result alone, in the language that is spoken."""
    return tuple(told(text) for text in result.caveats if text not in (*_COMPARISON, *_AUDIT))


def unread_caveat(n_unread: int) -> tuple[str, ...]:
    """Say how many case folders could not be read; nothing where all were."""
    if n_unread == 0:
        return ()
    if n_unread == 1:
        return ("1 case folder could not be read and is left out.",)
    return (f"{n_unread} case folders could not be read and are left out.",)


def review_caveat(table: CohortTable) -> tuple[str, ...]:
    """Say how many cases stand with the numbers of a person's review; nothing where none does."""
    if table.n_reviewed == 0:
        return ()
    if table.n_reviewed == table.n_cases:
        return ("All cases were reviewed by a person; their reviewed numbers are used.",)
    return (
        f"{table.n_reviewed} of {table.n_cases} cases were reviewed whole by a person and stand "
        "with their reviewed numbers, the others as measured. Where one group was reviewed more "
        "than another, compare the measured numbers too (--measured).",
    )


def _versions_caveat(table: CohortTable) -> tuple[str, ...]:
    """Say so where the cases that results rest on come from several versions of the program.

    Another model or other settings set a case aside; another version of the program may count in
    another way, which only its change log knows.
    """
    versions = table.cases["ubereport_version"][table.is_used()].value_counts().sort_index()
    if len(versions) < 2:
        return ()
    told = ", ".join(f"{version} ({n})" for version, n in versions.items())
    return (
        f"The cases were measured by several versions of ubereport: {told}. Where a version "
        "changed how something is counted, analyze the older cases again before comparing.",
    )
