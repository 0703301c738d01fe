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
from ubereport.cohort.wording import difference_text, interval_text, p_text, value_text
from ubereport.core.config import CompareConfig
from ubereport.core.covariates import column_title
from ubereport.core.metrics import Direction, MetricSpec
from ubereport.language.speaking import N_, _, _n, day, localized, paragraph, spoken, told
from ubereport.metrics.registry import metric_spec
from ubereport.statistics.estimates import Estimate


def comparison_reading(
    primary: MetricComparison,
    adjusted: AdjustedComparison,
    clear: TimeToClear,
    balance: tuple[BalanceRow, ...],
    power: tuple[PowerNote, ...],
) -> tuple[str, ...]:
    """Return the result in paragraphs: what was seen, how sure, adjusted, events, power.

    Spoken in the language of whoever asks; records are written in English.
    """
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


def spoken_reading(comparison: Comparison, config: CompareConfig) -> tuple[str, ...]:
    """Return all that a comparison says, in the language that is spoken."""
    return (
        *lead_reading(comparison, config),
        *comparison_reading(
            comparison.primary,
            comparison.adjusted,
            comparison.time_to_clear,
            comparison.balance,
            comparison.power,
        ),
    )


def _seen(primary: MetricComparison, spec: MetricSpec) -> str:
    groups = [
        _n(
            "{median} with {group} ({n} case; middle half {low} to {high})",
            "{median} with {group} ({n} cases; middle half {low} to {high})",
            group.n_cases,
            median=localized(value_text(group.median, spec)),
            group=group.group,
            low=localized(value_text(group.quartile_low, spec)),
            high=localized(value_text(group.quartile_high, spec)),
        )
        for group in primary.groups
    ]
    text = _(
        "{title}, the primary metric: the median was {groups}.",
        title=told(spec.title),
        groups=spoken().enumeration(groups),
    )
    if len(primary.groups) > 2:
        result = _test_text(primary.omnibus.p_value, primary.omnibus.reason)
        text = paragraph(text, _("Over all groups: {result}.", result=result))
    return text


def _test_text(p_value: float | None, reason: str) -> str:
    return told(reason) if p_value is None else localized(p_text(p_value))


def _contrast(contrast: Contrast, spec: MetricSpec) -> str:
    value = contrast.shift.value or 0.0
    interval = interval_text(contrast.shift, spec)
    outcome = _("the typical case did not differ ({interval})", interval=interval)
    if value != 0:
        size = _size(value, spec, is_lower=value < 0)
        outcome = _("the typical case was {size} ({interval})", size=size, interval=interval)
    text = _(
        "{group} against {reference}, nothing held equal: {found}",
        group=contrast.group,
        reference=contrast.reference,
        found=outcome,
    )
    if contrast.cliff_delta.value is not None:
        delta = localized(f"{contrast.cliff_delta.value:+.2f}".replace("-", "−"))
        magnitude = told(contrast.magnitude)
        text += "; " + _("Cliff's delta {delta}, {magnitude}", delta=delta, magnitude=magnitude)
    test = contrast.test
    if test.p_holm is None:
        reason = told(test.reason)
        sentence = _("{reason}; look at the points.", reason=f"{reason[:1].upper()}{reason[1:]}")
        return f"{text}. {sentence}"
    return f"{text}; {localized(p_text(test.p_holm))}."


def lead_reading(comparison: Comparison, config: CompareConfig) -> tuple[str, ...]:
    """Return what a comparison says, in one sentence a finding: what stands against it first.

    Spoken in the language of whoever asks; records are written in English.
    """
    spec = metric_spec(comparison.primary.metric_key)
    leads = comparison.leads
    # What stands against every pair is said once at the front; each pair then says what stands
    # against it alone.
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
    return _as_planned(comparison.plan, _finding(lead, pair, spec, comparison, config))


def _finding(
    lead: Lead, pair: str, spec: MetricSpec, comparison: Comparison, config: CompareConfig
) -> str:
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
        n_tests = sum(c.test.p_value is not None for c in comparison.adjusted.contrasts)
        return paragraph(text, *_what_hides(lead, spec, n_tests))
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


_NO_DIFFERENCE = 1e-9
_MEANINGS = {
    Direction.LOWER_IS_BETTER: (N_("the clearer view"), N_("the worse view")),
    Direction.HIGHER_IS_BETTER: (N_("the worse view"), N_("the clearer view")),
    Direction.NEUTRAL: (N_("the lower value"), N_("the higher value")),
}


def _size(value: float, spec: MetricSpec, *, is_lower: bool) -> str:
    size = difference_text(value, spec)
    return _("{size} lower", size=size) if is_lower else _("{size} higher", size=size)


def _what_hides(lead: Lead, spec: MetricSpec, n_tests: int) -> list[str]:
    """Say why nothing is shown; `n_tests` is how many p-values were corrected together."""
    if _leaves_zero_out(lead.with_error):
        # The p-value may be corrected for the number of comparisons and the interval is not: an
        # interval may leave zero out and still show nothing.
        p_value = lead.test.p_holm if lead.test.p_holm is not None else 1.0
        message = (
            N_("Corrected for the number of comparisons, chance can explain it ({p_value}).")
            if n_tests > 1
            else N_("Chance can explain it ({p_value}).")
        )
        is_by_chance = p_value >= 1 - lead.with_error.confidence
        by_chance = [_(message, p_value=localized(p_text(p_value)))] if is_by_chance else []
        return [*by_chance, *_at_other_thresholds(lead, spec)]
    if _leaves_zero_out(lead.difference):
        text = _("Chance alone would hardly explain it; what the model may err in one group could.")
        return [text]
    return [_("That is no proof that they are alike.")]


_AT_THRESHOLD = {
    "strict": N_("{size} at the strict one"),
    "lenient": N_("{size} at the lenient one"),
}


def _at_other_thresholds(lead: Lead, spec: MetricSpec) -> list[str]:
    """Say that the sign depends on the threshold of the model, where it does."""
    own = lead.with_error.value or 0.0
    values = {at.threshold: at.difference.value or 0.0 for at in lead.at_thresholds}
    # As the verdict sees it: a difference of exactly zero has a sign of its own.
    if all((value > 0, value < 0) == (own > 0, own < 0) for value in values.values()):
        return []
    differences = [_("{size} at its own threshold", size=_signed_size(own, spec))]
    differences += [
        _(_AT_THRESHOLD[name], size=_signed_size(value, spec))
        for name, value in values.items()
        if name in _AT_THRESHOLD
    ]
    return [
        _(
            "The sign of the difference depends on the threshold of the model: {differences}.",
            differences=spoken().enumeration(differences),
        )
    ]


def _signed_size(value: float, spec: MetricSpec) -> str:
    if abs(value) < _NO_DIFFERENCE:
        return _("no difference")
    return _size(value, spec, is_lower=value < 0)


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
        errors = _("What it errs from operation to operation its bundle does not say.")
    else:
        errors = _(
            "Of its {n_operations} unseen test operations one pair in ten differed by a factor of "
            "{factor} or more, and one in ten by {points} percentage points of painted clean view.",
            n_operations=tipping.n_operations,
            factor=localized(f"{tipping.seen_factor:.2f}"),
            points=localized(f"{100 * tipping.seen_false_area_frac:.1f}"),
        )
    return paragraph(text, errors)


def adjusted_reading(adjusted: AdjustedComparison, spec: MetricSpec) -> tuple[str, ...]:
    """Return the adjusted estimate in words: what was held equal, every contrast, the notes."""
    if adjusted.reason:
        reason = told(adjusted.reason)
        return (_("Adjusted estimate: none, because {reason}.", reason=reason),)
    names = (["surgeon"] if adjusted.n_surgeons > 1 else []) + [
        column_title(name) for name in adjusted.covariates
    ]
    outcome = "; ".join(_adjusted_contrast(contrast, spec) for contrast in adjusted.contrasts)
    text = _(
        "With nothing held equal ({cases} cases): {found}.", cases=adjusted.n_cases, found=outcome
    )
    if names:
        text = _(
            "With {names} held equal ({cases} cases): {found}.",
            names=spoken().enumeration([told(name) for name in names]),
            cases=adjusted.n_cases,
            found=outcome,
        )
    if len(adjusted.contrasts) > 1:
        corrected = _(
            "The p-values are corrected for the number of comparisons, the intervals are not."
        )
        text = paragraph(text, corrected)
    return (text, *map(told, adjusted.notes))


def _adjusted_contrast(contrast: AdjustedContrast, spec: MetricSpec) -> str:
    value = contrast.difference.value or 0.0
    message = N_("{group} was {size} than {reference} ({interval}; {test})")
    if abs(value) < _NO_DIFFERENCE:
        message = N_("{group} did not differ from {reference} ({interval}; {test})")
    return _(
        message,
        group=contrast.group,
        size=_size(value, spec, is_lower=value <= 0),
        reference=contrast.reference,
        interval=interval_text(contrast.difference, spec),
        test=_test_text(contrast.test.p_holm, contrast.test.reason),
    )


def _clearing(clear: TimeToClear) -> list[str]:
    if clear.reason:
        reason = told(clear.reason)
        return [_("Time to clear: not compared, because there is {reason}.", reason=reason)]
    groups = [
        _(
            "{share} with {group} ({events}, {censored} censored, {in_cases})",
            share=_share_text(curve.cleared_60s_share),
            group=curve.group,
            events=_n("{n} event", "{n} events", curve.n_events),
            censored=curve.n_censored,
            in_cases=_n("in {n} case", "in {n} cases", curve.n_cases),
        )
        for curve in clear.curves
    ]
    differences = [
        _(
            "{group} against {reference} {points}",
            group=d.group,
            reference=d.reference,
            points=_points_text(d.cleared_60s_share),
        )
        for d in clear.differences
        if d.cleared_60s_share.low is not None
    ]
    sentences = [
        _(
            "Within 60 s the view was clear again in {groups}.",
            groups=spoken().enumeration(groups),
        )
    ]
    if differences:
        joined = "; ".join(differences)
        sentences.append(_("Difference in percentage points: {differences}.", differences=joined))
    sentences.append(
        _(
            "The intervals take whole cases or surgeons together, so that many events of few "
            "cases do not pass for much evidence. They are not corrected for how many there are."
        )
    )
    return [paragraph(*sentences)]


def _points_text(difference: Estimate) -> str:
    value, low, high = (
        f"{0.0 if number is None else 100 * number:+.0f}".replace("-", "−")
        for number in (difference.value, difference.low, difference.high)
    )
    return _("{value} (interval {low} to {high})", value=value, low=low, high=high)


def _share_text(share: Estimate) -> str:
    if share.value is None:
        return _("an unknown share ({reason})", reason=told(share.reason))
    text = _("{percent} % of events", percent=f"{100 * share.value:.0f}")
    if share.low is None or share.high is None:
        return text
    low, high = f"{100 * share.low:.0f}", f"{100 * share.high:.0f}"
    return _("{share} (interval {low} to {high} %)", share=text, low=low, high=high)


def _balance(balance: tuple[BalanceRow, ...]) -> list[str]:
    total = list(dict.fromkeys(column_title(row.column) for row in balance if row.is_total))
    texts = []
    if total:
        texts.append(
            _(
                "Total imbalance: in {names} two groups have nothing in common. What is said of "
                "the groups could as well be said of that.",
                names=spoken().enumeration([told(name) for name in total]),
            )
        )
    names = dict.fromkeys(
        column_title(row.column) for row in balance if row.is_unbalanced and not row.is_total
    )
    names_left = [told(name) for name in names if name not in total]
    if names_left:
        texts.append(
            _(
                "The groups were not alike in {names} (standardized difference of 0.25 or more); "
                "part of the difference may come from there.",
                names=spoken().enumeration(names_left),
            )
        )
    return texts


def _power(note: PowerNote, spec: MetricSpec) -> str:
    pair = _(
        "{group} ({cases}) against {reference} ({reference_cases})",
        group=note.group,
        cases=_n("{n} case", "{n} cases", note.n_group),
        reference=note.reference,
        reference_cases=note.n_reference,
    )
    if note.cliff_delta is None:
        return _("Power: {pair}: so few cases could not show even complete separation.", pair=pair)
    shown = localized(f"{note.cliff_delta:.2f}")
    power = f"{100 * note.power:.0f}"
    text = _(
        "Power: {pair}: these cases had a chance of {power} % to show a difference of Cliff's "
        "delta {delta} or more.",
        pair=pair,
        power=power,
        delta=shown,
    )
    if note.shift is not None:
        text = _(
            "Power: {pair}: these cases had a chance of {power} % to show a difference of Cliff's "
            "delta {delta} or more, about {size}.",
            pair=pair,
            power=power,
            delta=shown,
            size=difference_text(note.shift, spec),
        )
    return paragraph(text, _("A smaller difference would mostly have been missed."))
