"""What an audit says of ratings and outcomes: whether the measured view means something."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ubereport.cohort.audit_results import (
    Agreement,
    OutcomeRelation,
)
from ubereport.core.covariates import column_title
from ubereport.documents.cohort.document_parts import (
    estimate_text,
    forest_row,
    p_cells,
    reasons_once,
    short_title,
)
from ubereport.documents.page.blocks import TableBlock, columns
from ubereport.documents.page.document import Figure, Section
from ubereport.documents.page.drawing import Axis, Unit
from ubereport.documents.page.row_drawings import ForestFigure
from ubereport.documents.page.text import span_text
from ubereport.language.speaking import _, _n
from ubereport.metrics.registry import metric_spec


def agreement_section(agreements: Sequence[Agreement]) -> Section:
    """Return the surgeon-rated view against the measured one."""
    text = _(
        "The surgeon’s rating of the view against what was measured. The bands are ours and are no "
        "clinical grade; a rating also knows what the picture does not show, such as suction need."
    )
    tables = tuple(_rating_table(agreement) for agreement in agreements)
    return Section(_("Surgeon-rated clarity"), (text,), tables=tables)


def _rating_table(agreement: Agreement) -> TableBlock:
    edges = ("0 %", *(f"{100 * edge:g} %" for edge in agreement.band_edges))
    bands = [span_text(low, high) for low, high in pairwise(edges)]
    bands.append(_("{edges} and more", edges=edges[-1]))
    counts = {(cell.rating, cell.band): cell.n_cases for cell in agreement.table}
    ratings = sorted({cell.rating for cell in agreement.table})
    rows = tuple(
        (str(rating), *(str(counts.get((rating, band), 0)) for band in range(len(bands))))
        for rating in ratings
    )
    note = _(
        "Weighted kappa {estimate_text}; Spearman {estimate_text_2}; {cases} with both. "
        "Cases on the diagonal agree.",
        estimate_text=estimate_text(agreement.weighted_kappa, n_decimals=2, is_signed=False),
        estimate_text_2=estimate_text(agreement.spearman, n_decimals=2, is_signed=False),
        cases=_n("{n} case", "{n} cases", agreement.n_cases),
    )
    title = metric_spec(agreement.metric_key).title
    caption = _(
        "{column_title} (rows) against {title} (columns), cases",
        column_title=column_title(agreement.column),
        title=title,
    )
    heads = columns(_("Rating"), *(f"#{band}" for band in bands))
    return TableBlock(f"{caption[0].upper()}{caption[1:]}", heads, rows, note)


def outcome_section(outcomes: Sequence[OutcomeRelation]) -> Section:
    """Return the measured view against outcome columns of the manifest."""
    figure = Figure(
        "outcomes",
        _("Relation of the measured view to outcomes"),
        _(
            "Each square is a correlation or a Cliff’s delta from −1 to 1, the bar its 95 % "
            "interval. A bar that crosses 0 is compatible with no relation. A relation is no "
            "proof of a cause."
        ),
        ForestFigure(
            tuple(
                forest_row(
                    f"{_outcome_name(r)}: {short_title(r.metric_key)}", r.estimate, n_decimals=2
                )
                for r in outcomes
            ),
            Axis(_("Spearman correlation or Cliff’s delta"), Unit.NUMBER, -1.0, 1.0),
        ),
    )
    marked, note = reasons_once([(r.estimate,) for r in outcomes], "")
    rows = tuple(
        (
            _outcome_name(r),
            metric_spec(r.metric_key).title,
            r.measure,
            str(r.n_cases),
            estimate_text(estimate, n_decimals=2, is_signed=True),
            *p_cells(r.test),
        )
        for r, (estimate,) in zip(outcomes, marked, strict=True)
    )
    heads = columns(
        _("Outcome"),
        _("Measured"),
        _("Measure"),
        _("#Cases"),
        _("#Estimate (95 % interval)"),
        _("#p"),
        _("#p, Holm"),
    )
    table = TableBlock(_("Outcome columns of the manifest"), heads, rows, note)
    # Rows alone tell why there is no number; an empty drawing would look like no relation.
    is_drawn = any(relation.estimate.value is not None for relation in outcomes)
    return Section(_("Relation to outcomes"), (), (figure,) if is_drawn else (), (table,))


def _outcome_name(relation: OutcomeRelation) -> str:
    title = column_title(relation.column)
    return title[0].upper() + title[1:]
