"""A comparison in plain sentences, with what must be kept in mind."""

from __future__ import annotations

from collections.abc import Sequence

from ubereport.cohort.comparison_results import (
    AdjustedComparison,
    AdjustedContrast,
    BalanceRow,
    Comparison,
    Contrast,
    Lead,
    MetricComparison,
    PlanStatus,
    PlanUse,
    PowerNote,
    TimeToClear,
    Verdict,
)
from ubereport.cohort.table import CohortTable, review_caveat, versions_caveat
from ubereport.cohort.wording import (
    difference_text,
    interval_text,
    list_text,
    p_text,
    unread_text,
    value_text,
)
from ubereport.core.config import CompareConfig
from ubereport.core.covariates import column_title
from ubereport.core.metrics import Direction, MetricSpec
from ubereport.language.speaking import N_, _, day, localized, told
from ubereport.metrics.registry import metric_spec
from ubereport.statistics.estimates import Estimate

NOT_RANDOMIZED = (
    "The cases were not randomized. A difference between groups is a difference between the cases "
    "that got them; it does not show what caused it."
)
_CAVEATS = (
    NOT_RANDOMIZED,
    "Confounding by indication: hemostatic agents are used because it bleeds. A technique kept for "
    "difficult bleeding looks worse than it is, and adjusting for what the manifest holds mends "
    "this only in part.",
    "Immortal time: a technique used late in a case cannot have changed the minutes before it, and "
    "an agent that is given only to bleeding that lasts meets events that have already lasted. "
    "Time to clear counts from the onset of an event, not from the use of the technique.",
    "The numbers say how much of the view was obscured by blood, as a model measured it. They are "
    "not blood loss. Higher pump pressure can hide a bleeder.",
    "For research and departmental quality review; not a medical device, not for diagnosis, not "
    "for judging one person.",
)


def comparison_caveats(table: CohortTable, by: str) -> tuple[str, ...]:
    """Return what every comparison prints, and what this one must add."""
    extra = []
    if table.is_mixed:
        n_other = sum(model.n_cases for model in table.models if not model.is_used)
        extra.append(
            f"{n_other} cases were measured with another model or other settings and are left out; "
            "numbers of different models are never mixed. Analyze them again to include them."
        )
    if table.unread:
        extra.append(f"{unread_text(table.unread)} and are left out.")
    extra += review_caveat(table)
    extra += versions_caveat(table)
    if by != "technique":
        extra.append(f"Groups are formed by {by}, not by technique.")
    return (*extra, *_CAVEATS)


def comparison_reading(
    primary: MetricComparison,
    adjusted: AdjustedComparison,
    clear: TimeToClear,
    balance: tuple[BalanceRow, ...],
    power: tuple[PowerNote, ...],
) -> tuple[str, ...]:
    """Return the result in paragraphs: what was seen, how sure, adjusted, events, power."""
    spec = metric_spec(primary.metric_key)
    paragraphs = [
        _seen(primary, spec),
        *(_contrast(contrast, spec) for contrast in primary.contrasts),
        *adjusted_reading(adjusted, spec),
        *_clearing(clear),
        *_balance(balance),
        *(_power(note, spec) for note in power),
    ]
    return tuple(f"{text[0].upper()}{text[1:]}" for text in paragraphs)


def _seen(primary: MetricComparison, spec: MetricSpec) -> str:
    groups = [
        f"{value_text(group.median, spec)} with {group.group} ({group.n_cases} "
        f"case{'' if group.n_cases == 1 else 's'}; middle half "
        f"{value_text(group.quartile_low, spec)} to {value_text(group.quartile_high, spec)})"
        for group in primary.groups
    ]
    text = f"{spec.title}, the primary metric: the median was {list_text(groups)}."
    if len(primary.groups) > 2:
        text += f" Over all groups: {_test_text(primary.omnibus.p_value, primary.omnibus.reason)}."
    return text


def _test_text(p_value: float | None, reason: str) -> str:
    return reason if p_value is None else p_text(p_value)


def _contrast(contrast: Contrast, spec: MetricSpec) -> str:
    shift = contrast.shift
    value = 0.0 if shift.value is None else shift.value
    side = "higher" if value > 0 else "lower"
    head = f"{contrast.group} against {contrast.reference}, nothing held equal: "
    if value == 0:
        head += f"the typical case did not differ ({interval_text(shift, spec)})"
    else:
        head += (
            f"the typical case was {difference_text(value, spec)} {side} "
            f"({interval_text(shift, spec)})"
        )
    delta = contrast.cliff_delta
    if delta.value is not None:
        head += f"; Cliff's delta {delta.value:+.2f}, {contrast.magnitude}".replace("-", "−")
    test = contrast.test
    if test.p_holm is None:
        return f"{head}. {test.reason[0].upper()}{test.reason[1:]}; look at the points."
    return f"{head}; {p_text(test.p_holm)}."


def lead_reading(comparison: Comparison, config: CompareConfig) -> tuple[str, ...]:
    """Return what a comparison says, in one sentence a finding: what stands against it first.

    Spoken in the language of whoever asks; records are written in English.
    """
    spec = metric_spec(comparison.primary.metric_key)
    leads = comparison.leads
    common = [
        barrier
        for barrier in dict.fromkeys(b for lead in leads for b in lead.barriers)
        if all(barrier in lead.barriers for lead in leads)
    ]
    sentences = []
    if common:
        message = (
            N_("No technique can be called better than another here: {reasons}.")
            if comparison.by == "technique"
            else N_("No group can be called better than another here: {reasons}.")
        )
        sentences.append(_(message, reasons=_reasons(common)))
    sentences += [_lead(lead, spec, comparison, config, common) for lead in leads]
    sentences += [text for lead in leads if (text := tipping_text(lead, spec))]
    return tuple(sentences)


def _reasons(barriers: Sequence[str]) -> str:
    """Say one after the other; a whole list would not be known to any language."""
    return "; ".join(told(barrier) for barrier in barriers)


def _lead(
    lead: Lead, spec: MetricSpec, comparison: Comparison, config: CompareConfig, common: list[str]
) -> str:
    own = [barrier for barrier in lead.barriers if barrier not in common]
    pair = _("{group} and {reference}", group=lead.group, reference=lead.reference)
    if own:
        text = _("{pair} are described only: {reasons}.", pair=pair, reasons=_reasons(own))
        return _as_planned(comparison.plan, text)
    if lead.verdict is Verdict.DESCRIPTIVE:
        return _described(lead, pair, spec)
    return _as_planned(comparison.plan, _finding(lead, pair, spec, config))


def _finding(lead: Lead, pair: str, spec: MetricSpec, config: CompareConfig) -> str:
    interval = interval_text(lead.with_error, spec)
    if lead.verdict is Verdict.EQUIVALENT and config.margin is not None:
        return _(
            "{pair} are alike within the declared margin of {margin} ({interval}, the model’s own "
            "error included).",
            pair=pair,
            margin=difference_text(config.margin, spec),
            interval=interval,
        )
    if lead.verdict is Verdict.NOT_SHOWN:
        text = _(
            "no difference between {pair} is shown ({interval}, the model’s own error included).",
            pair=pair,
            interval=interval,
        )
        return f"{text} {_what_hides(lead)}"
    is_lower = lead.verdict is Verdict.LOWER
    return _(
        "cases with {group} had {meaning} than cases with {reference}, surgeon and covariates held "
        "equal: {size} ({interval}, the model’s own error included; {p_value}).",
        group=lead.group,
        meaning=_(_MEANINGS[spec.direction][0 if is_lower else 1]),
        reference=lead.reference,
        size=_size(lead.with_error.value or 0.0, spec, is_lower=is_lower),
        interval=interval,
        p_value=localized(p_text(lead.test.p_holm or 0.0)),
    )


_MEANINGS = {
    Direction.LOWER_IS_BETTER: (N_("the clearer view"), N_("the worse view")),
    Direction.HIGHER_IS_BETTER: (N_("the worse view"), N_("the clearer view")),
    Direction.NEUTRAL: (N_("the lower value"), N_("the higher value")),
}


def _size(value: float, spec: MetricSpec, *, is_lower: bool) -> str:
    size = difference_text(value, spec)
    return _("{size} lower", size=size) if is_lower else _("{size} higher", size=size)


def _what_hides(lead: Lead) -> str:
    if _leaves_zero_out(lead.with_error):
        p_value = p_text(lead.test.p_holm if lead.test.p_holm is not None else 1.0)
        return _(
            "Corrected for the number of comparisons, chance can explain it ({p_value}).",
            p_value=localized(p_value),
        )
    if _leaves_zero_out(lead.difference):
        return _("Chance alone would hardly explain it; what the model may err in one group could.")
    return _("That is no proof that they are alike.")


def _leaves_zero_out(estimate: Estimate) -> bool:
    low, high = estimate.low, estimate.high
    return low is not None and high is not None and (low > 0 or high < 0)


def _as_planned(plan: PlanUse, text: str) -> str:
    """Say before a finding whether a plan foresaw it."""
    if plan.status is PlanStatus.FOLLOWED:
        return _("As planned on {date}: {text}", date=day(plan.written_at[:10]), text=text)
    if plan.status is PlanStatus.DEPARTED:
        return _("Exploratory, not as planned: {text}", text=text)
    return _("Exploratory: {text}", text=text) if plan.status is PlanStatus.NONE else text


def _described(lead: Lead, pair: str, spec: MetricSpec) -> str:
    value = lead.difference.value
    if value is None:
        return _(
            "{pair}: no adjusted difference, {reason}; a description, no finding.",
            pair=pair,
            reason=told(lead.difference.reason),
        )
    return _(
        "{pair}: {size} ({interval}); a description, no finding.",
        pair=pair,
        size=_size(value, spec, is_lower=value <= 0),
        interval=interval_text(lead.difference, spec),
    )


def tipping_text(lead: Lead, spec: MetricSpec) -> str:
    """Return how much more the model must err to undo a finding; empty where there is none."""
    tipping = lead.tipping
    if tipping is None:
        return ""
    message = {
        (True, True): N_(
            "To undo the difference between {group} and {reference} the model would have to "
            "measure areas {factor} times too large or paint {percent} % of the clean view more "
            "with {erring} alone."
        ),
        (True, False): N_(
            "To undo the difference between {group} and {reference} the model would have to "
            "measure areas {factor} times too large more with {erring} alone."
        ),
        (False, True): N_(
            "To undo the difference between {group} and {reference} the model would have to "
            "paint {percent} % of the clean view more with {erring} alone."
        ),
        (False, False): N_(
            "To undo the difference between {group} and {reference} the model would have to "
            "err tenfold, which still would not undo it, more with {erring} alone."
        ),
    }[tipping.factor is not None, tipping.false_area_frac is not None]
    text = _(
        message,
        group=lead.group,
        reference=lead.reference,
        factor=localized(f"{tipping.factor or 0.0:.2f}"),
        percent=localized(f"{100 * (tipping.false_area_frac or 0.0):.1f}"),
        erring=tipping.group,
    )
    if tipping.seen_factor is None or tipping.seen_false_area_frac is None:
        seen = _("What it errs from operation to operation its bundle does not say.")
    else:
        seen = _(
            "Of its {n_operations} unseen test operations one pair in ten differed by a factor of "
            "{factor} or more, and one in ten by {points} percentage points of painted clean view.",
            n_operations=tipping.n_operations,
            factor=localized(f"{tipping.seen_factor:.2f}"),
            points=localized(f"{100 * tipping.seen_false_area_frac:.1f}"),
        )
    return f"{text} {seen}"


def adjusted_reading(adjusted: AdjustedComparison, spec: MetricSpec) -> tuple[str, ...]:
    """Return the adjusted estimate in words: what was held equal, every contrast, the notes."""
    if adjusted.reason:
        return (f"Adjusted estimate: none, because {adjusted.reason}.",)
    names = (["surgeon"] if adjusted.n_surgeons > 1 else []) + [
        column_title(name) for name in adjusted.covariates
    ]
    held = f"With {list_text(names)} held equal" if names else "With nothing held equal"
    found = [_adjusted_contrast(contrast, spec) for contrast in adjusted.contrasts]
    text = f"{held} ({adjusted.n_cases} cases): {'; '.join(found)}."
    if len(found) > 1:
        text += " The p-values are corrected for the number of comparisons, the intervals are not."
    return (text, *adjusted.notes)


def _adjusted_contrast(contrast: AdjustedContrast, spec: MetricSpec) -> str:
    difference = contrast.difference
    value = 0.0 if difference.value is None else difference.value
    side = "higher" if value > 0 else "lower"
    return (
        f"{contrast.group} was {difference_text(value, spec)} {side} than {contrast.reference} "
        f"({interval_text(difference, spec)}; "
        f"{_test_text(contrast.test.p_holm, contrast.test.reason)})"
    )


def _clearing(clear: TimeToClear) -> list[str]:
    if clear.reason:
        return [f"Time to clear: not compared, because there is {clear.reason}."]
    groups = [
        f"{_share_text(curve.cleared_60s_share)} with {curve.group} ({curve.n_events} events, "
        f"{curve.n_censored} censored, in {curve.n_cases} cases)"
        for curve in clear.curves
    ]
    differences = [
        f"{d.group} against {d.reference} {_points_text(d.cleared_60s_share)}"
        for d in clear.differences
        if d.cleared_60s_share.low is not None
    ]
    text = f"Within 60 s the view was clear again in {list_text(groups)}."
    if differences:
        text += f" Difference in percentage points: {'; '.join(differences)}."
    return [
        f"{text} The intervals take whole cases or surgeons together, so that many events of few "
        "cases do not pass for much evidence. They are not corrected for how many there are."
    ]


def _points_text(difference: Estimate) -> str:
    value, low, high = (
        0.0 if number is None else 100 * number
        for number in (difference.value, difference.low, difference.high)
    )
    return f"{value:+.0f} (interval {low:+.0f} to {high:+.0f})".replace("-", "−")


def _share_text(share: Estimate) -> str:
    if share.value is None:
        return f"an unknown share ({share.reason})"
    text = f"{100 * share.value:.0f} % of events"
    if share.low is None or share.high is None:
        return text
    return f"{text} (interval {100 * share.low:.0f} to {100 * share.high:.0f} %)"


def _balance(balance: tuple[BalanceRow, ...]) -> list[str]:
    total = list(dict.fromkeys(column_title(row.column) for row in balance if row.is_total))
    texts = []
    if total:
        texts.append(
            f"Total imbalance: in {list_text(total)} two groups have nothing in common. What is "
            "said of the groups could as well be said of that."
        )
    names = dict.fromkeys(
        column_title(row.column) for row in balance if row.is_unbalanced and not row.is_total
    )
    names_left = [name for name in names if name not in total]
    if names_left:
        texts.append(
            f"The groups were not alike in {list_text(names_left)} (standardized difference of "
            "0.25 or more); part of the difference may come from there."
        )
    return texts


def _power(note: PowerNote, spec: MetricSpec) -> str:
    pair = f"{note.group} ({note.n_group} cases) against {note.reference} ({note.n_reference})"
    if note.cliff_delta is None:
        return f"Power: {pair}: so few cases could not show even complete separation."
    text = (
        f"Power: {pair}: these cases had a chance of {100 * note.power:.0f} % to show a difference "
        f"of Cliff's delta {note.cliff_delta:.2f} or more"
    )
    if note.shift is not None:
        text += f", about {difference_text(note.shift, spec)}"
    return f"{text}. A smaller difference would mostly have been missed."
