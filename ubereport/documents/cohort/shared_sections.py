"""Sections and rows that comparison, audit and evaluation have in common."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ubereport.cohort.comparison_results import DropCount, ModelUse, UnreadCase
from ubereport.core.covariates import column_title
from ubereport.core.version import __version__
from ubereport.documents.cohort.number_words import estimate_text, names_text
from ubereport.documents.page.blocks import Pair, TableBlock, table_block
from ubereport.documents.page.document import (
    Section,
)
from ubereport.documents.page.row_drawings import ForestRow
from ubereport.documents.page.text import DASH, label_percent
from ubereport.language.speaking import _, _n, day, told
from ubereport.metrics.registry import METRICS, installed_metrics
from ubereport.statistics.estimates import Estimate

SOFTWARE = f"ubereport {__version__}"
_KEY = re.compile(r"[a-z]+(?:_[a-z0-9]+)+")


def forest_row(
    label: str, estimate: Estimate, factor: float = 1.0, n_decimals: int | None = None
) -> ForestRow:
    """Return a difference as a row of a forest, in the unit that `factor` makes of it.

    Why a number or its interval is missing has no room in a picture: its table says so.
    """
    value, low, high = (
        None if number is None else factor * number
        for number in (estimate.value, estimate.low, estimate.high)
    )
    text = estimate_text(estimate, factor, n_decimals, is_signed=True)
    if value is None:
        text = _("not available")
    elif low is None or high is None:
        # Beside a bar there is room for the number only.
        text = text.partition(" (")[0]
    return ForestRow(label, value, low, high, text)


def drops_table(caption: str, dropped: Sequence[DropCount]) -> TableBlock:
    """Return the cases that a result leaves out, with their number and ids."""
    return table_block(
        caption,
        dropped,
        (_("Reason"), lambda drop: _plain(drop.reason)),
        (_("#Cases"), lambda drop: str(drop.n_cases)),
        ("*" + _("Case ids"), lambda drop: names_text(drop.case_ids)),
    )


def _plain(reason: str) -> str:
    """Put names of metrics and columns in a reason into words."""
    metrics = (*METRICS, *installed_metrics().metrics)
    titles = {metric.spec.key: metric.spec.title for metric in metrics}
    return _KEY.sub(lambda match: titles.get(match[0], column_title(match[0])), reason)


def _models_table(models: Sequence[ModelUse]) -> TableBlock:
    def date_cell(date: str) -> str:
        return day(date) if date else DASH

    return table_block(
        _("How the cases were measured"),
        models,
        (_("Model"), lambda model: f"{model.name} {model.version}"),
        (_("Bundle"), lambda model: model.sha256[:10]),
        (_("Settings"), lambda model: model.settings_sha256[:10]),
        (_("#Cases"), lambda model: str(model.n_cases)),
        (_("First case"), lambda model: date_cell(model.first_date)),
        (_("Last case"), lambda model: date_cell(model.last_date)),
        (
            _("Use"),
            lambda model: _("results rest on it") if model.is_used else _("set aside, never mixed"),
        ),
        note=_(
            "Bundle and settings by the first ten characters of their sha256. Cases of one row "
            "were measured in the same way."
        ),
    )


def model_sections(models: Sequence[ModelUse]) -> tuple[Section, ...]:
    """Return what measured: model, whom it learned from, what it errs; nothing where not told."""
    used = next(model for model in models if model.is_used)
    facts = used.facts
    figures = [
        f"{name} {label_percent(value)}"
        for name, value in (
            (_("sensitivity"), facts.sensitivity),
            (_("specificity"), facts.specificity),
        )
        if value is not None
    ]
    terms = [
        Pair(_("Model"), _("{name}, version {version}", name=used.name, version=used.version)),
        Pair(_("Trained on"), facts.training_population or _("the bundle does not say")),
        Pair(_("Limits"), facts.limits or _("the bundle does not say")),
        Pair(
            _("Is there blood in a picture"),
            f"{', '.join(figures) or _('not stated')}; "
            f"{told(facts.evaluated_on) or _('no test is stated')}",
        ),
        Pair(
            _("Unseen operations"),
            _("{operations} with their own errors", operations=len(facts.operations))
            if facts.operations
            else _("the bundle does not say what it erred on each"),
        ),
    ]
    return (Section(_("What measured"), terms=tuple(terms)),)


def left_out_section(
    dropped: Sequence[DropCount], unread: Sequence[UnreadCase], models: Sequence[ModelUse]
) -> Section:
    """Return what a result leaves out, why, and how the cases were measured."""
    tables = []
    if dropped:
        tables.append(drops_table(_("Cases left out"), dropped))
    if unread:
        tables.append(
            table_block(
                _("Case folders that could not be read"),
                unread,
                (_("Folder"), lambda case: case.folder),
                ("*" + _("Reason"), lambda case: case.reason),
            )
        )
    tables.append(_models_table(models))
    text = _(
        "{cases} left out; {folders} not readable.",
        cases=_n("{n} case", "{n} cases", sum(drop.n_cases for drop in dropped)),
        folders=_n("{n} folder", "{n} folders", len(unread)),
    )
    if not dropped and not unread:
        text = _("No case is left out.")
    return Section(_("Cases left out, and how cases were measured"), (text,), tables=tuple(tables))
