"""`ubereport evaluate`: models on stills and cases on recordings, against ground truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ubereport.core.choices import PdfChoice
from ubereport.core.config import AnalysisConfig, SegmentationConfig, config_from_toml
from ubereport.core.errors import UsageError
from ubereport.documents.cohort.reports import Written, publish_document
from ubereport.files.records.store import read_case
from ubereport.laboratory.evaluation.config import StillsConfig
from ubereport.laboratory.evaluation.examples import draw_overlay, pick_examples
from ubereport.laboratory.evaluation.group_errors import errors_by_group_json
from ubereport.laboratory.evaluation.load import StillSet, find_groups, load_stills, read_groups
from ubereport.laboratory.evaluation.recording_document import RecordingResult, recording_document
from ubereport.laboratory.evaluation.recordings import evaluate_recording, over_recordings
from ubereport.laboratory.evaluation.results import (
    GroupScore,
    StillScore,
    StillsEvaluation,
    Stratum,
)
from ubereport.laboratory.evaluation.stills import (
    evaluate_stills,
    predict_stills,
    reference_of,
    with_presence_rule,
)
from ubereport.laboratory.evaluation.stills_document import stills_document
from ubereport.laboratory.evaluation.stills_sections import ModelResult, Overlays
from ubereport.laboratory.evaluation.summary import paired_difference
from ubereport.laboratory.evaluation.truth import read_truth
from ubereport.laboratory.evaluation.writing import (
    json_bytes,
    models_csv,
    recording_summary,
    recording_table,
    stills_summary,
    stills_table,
)
from ubereport.segmentation.bundle import Bundle, find_bundle, load_bundle
from ubereport.segmentation.predictor import Predictor, open_predictor
from ubereport.statistics.estimates import Estimate


@dataclass(frozen=True, slots=True)
class StillsRequest:
    """Which models to score on which stills; `groups` is a CSV of names and groups, or a rule.

    `only` is a CSV with the names of the stills to take, such as what `train finetune` held out.

    `techniques` is a CSV with name and group: which group of a comparison each still belongs to.

    `n_examples` stills of each kind (best, middle, worst, false alarms) are drawn.

    `models` names bundles, or their folders; `models_dir` None takes the shipped ones.
    """

    images: Path
    masks: Path
    ignore: Path | None
    groups: str | None
    models: tuple[str, ...]
    out: Path
    config: StillsConfig
    segmentation: SegmentationConfig
    models_dir: Path | None = None
    only: Path | None = None
    pdf: PdfChoice = PdfChoice.AUTO
    techniques: Path | None = None
    n_examples: int = 4


@dataclass(frozen=True, slots=True)
class RecordingRequest:
    """Case folders with the truth folder of each; `out` None writes no report."""

    cases: tuple[Path, ...]
    truths: tuple[Path, ...]
    out: Path | None
    pdf: PdfChoice = PdfChoice.AUTO


def run_stills_evaluation(
    request: StillsRequest,
    on_still: Callable[[str, int, int], None],
    on_groups: Callable[[int, int, str], None] | None = None,
) -> tuple[dict[str, Any], Written]:
    """Score every model on the same stills and write the report.

    Returns
    -------
    summary
        The agreed keys of the first model, and ``models`` with those of every model.
    written
        ``evaluation.html``, ``.pdf``, ``.json``, ``scores.csv``, ``strata.csv``,
        ``groups.csv``; with `techniques` also ``errors_by_group.json`` of the first model, which
        ``ubereport compare --errors`` reads.

    Raises
    ------
    UsageError
        If no model is named or one is named twice.
    AnnotationError
        If stills or masks cannot be used.
    ModelError
        If a bundle or its answer cannot be trusted.
    OutputError
        If `out` cannot be written.
    """
    bundles = _bundles(request)
    groups = find_groups(request.groups)
    only = None if request.only is None else frozenset(read_groups(request.only))
    stills = load_stills(request.images, request.masks, request.ignore, groups, only)
    if on_groups is not None:
        on_groups(
            len(stills.stills), len({still.group for still in stills.stills}), stills.grouping
        )
    results = []
    for bundle in bundles:
        name = _bundle_name(bundle)
        predictor = open_predictor(bundle, request.segmentation)
        calibrated = dict(bundle.metadata.operating_characteristics)
        # Unless the configuration states a rule, each model goes by the one that its own
        # calibration found.
        config = with_presence_rule(request.config, predictor.thresholds[1], calibrated)
        evaluation = evaluate_stills(stills, predictor, name, config, partial(on_still, name))
        overlays = _overlays(stills, predictor, evaluation, request)
        results.append(ModelResult(bundle.summary(), evaluation, overlays))
    evaluations = [result.evaluation for result in results]
    differences = tuple(
        paired_difference(other, evaluations[0], request.config) for other in evaluations[1:]
    )
    document = stills_document(results, differences, stills.n_without_mask, request.config)
    summary = {**_summary(evaluations), "grouping": stills.grouping}
    files = {
        "evaluation.json": _stills_json(evaluations, differences),
        "scores.csv": models_csv(StillScore, {e.model: e.scores for e in evaluations}),
        "strata.csv": models_csv(Stratum, {e.model: e.strata for e in evaluations}),
        "groups.csv": models_csv(GroupScore, {e.model: e.groups for e in evaluations}),
    }
    if request.techniques is not None:
        seed = request.config.seed
        techniques = read_groups(request.techniques)
        files["errors_by_group.json"] = errors_by_group_json(
            evaluations[0].scores, techniques, seed
        )
    return summary, publish_document(request.out, "evaluation", document, files, pdf=request.pdf)


def _bundles(request: StillsRequest) -> list[Bundle]:
    if not request.models:
        raise UsageError("No model was given. Name one or more with --model.")
    bundles = [load_bundle(find_bundle(name, request.models_dir)) for name in request.models]
    names = [_bundle_name(bundle) for bundle in bundles]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{twice[0]} was given twice. Name each model once.")
    return bundles


def _bundle_name(bundle: Bundle) -> str:
    return f"{bundle.metadata.name} {bundle.metadata.version}"


def _overlays(
    stills: StillSet, predictor: Predictor, evaluation: StillsEvaluation, request: StillsRequest
) -> Overlays:
    """Predict the stills worth looking at once more, and draw them."""
    config = request.config
    examples = pick_examples(evaluation.scores, request.n_examples)
    names = {name for kind in dataclasses.astuple(examples) for name in kind}
    chosen = [still for still in stills.stills if still.name in names]
    pictures = {}
    # Looked at a second time: which stills are worth drawing is known only once all are scored, and
    # keeping every probability map would fill the memory.
    for still, loaded, probability in predict_stills(chosen, predictor, config.batch_size):
        reference, is_decided = reference_of(loaded, config.consensus)
        predicted = probability >= predictor.thresholds[1]
        pictures[still.name] = draw_overlay(loaded.rgb, reference, predicted, is_decided)
    return Overlays(examples, pictures)


def _summary(evaluations: Sequence[StillsEvaluation]) -> dict[str, Any]:
    each = [{"model": e.model, "n_groups": e.n_groups, **stills_summary(e)} for e in evaluations]
    return {**each[0], "models": each}


def _stills_json(evaluations: Sequence[StillsEvaluation], differences: Sequence[Estimate]) -> bytes:
    first, *others = (stills_table(evaluation) for evaluation in evaluations)
    gaps = [
        {"model": e.model, "minus": evaluations[0].model, "value": d.value, "low": d.low,
         "high": d.high, "method": d.method, "reason": d.reason}
        for e, d in zip(evaluations[1:], differences, strict=True)
    ]  # fmt: skip
    return json_bytes({**first, "other_models": others, "dice_median_differences": gaps})


def run_recording_evaluation(
    request: RecordingRequest,
) -> tuple[dict[str, Any], Written | None]:
    """Compare cases with the truth of their recordings.

    Returns
    -------
    summary
        The agreed keys: of the case, or the means over several cases, then with ``recordings``.
    written
        ``evaluation.html``, ``.pdf``, ``.json`` where `out` was given.

    Raises
    ------
    UsageError
        If there are not as many truths as cases.
    CaseRecordError
        If a case folder cannot be read.
    AnnotationError
        If a truth folder cannot be used.
    OutputError
        If `out` cannot be written.
    """
    if len(request.cases) != len(request.truths) or not request.cases:
        raise UsageError(
            f"{len(request.cases)} cases and {len(request.truths)} truths were given. Give one "
            "--truth for each --case, in the same order."
        )
    results = [
        _recording_result(case, truth)
        for case, truth in zip(request.cases, request.truths, strict=True)
    ]
    over_all = over_recordings([result.evaluation for result in results])
    summaries = [recording_summary(result.evaluation) for result in results]
    summary: dict[str, Any] = summaries[0]
    if len(results) > 1:
        summary = {key: estimate.value for key, estimate in over_all.items()}
        summary |= {
            "recordings": [
                {"case_id": result.record.case_id, **own}
                for result, own in zip(results, summaries, strict=True)
            ]
        }
    if request.out is None:
        return summary, None
    document = recording_document(results, over_all)
    files = {"evaluation.json": _recordings_json(results, summary)}
    return summary, publish_document(request.out, "evaluation", document, files, pdf=request.pdf)


def _recording_result(case_folder: Path, truth_folder: Path) -> RecordingResult:
    record = read_case(case_folder)
    truth = read_truth(truth_folder)
    config = config_from_toml(record.provenance.config_toml, AnalysisConfig)
    evaluation = evaluate_recording(record.series, record.events, truth, config.events.max_gap_s)
    return RecordingResult(record, truth, evaluation)


def _recordings_json(results: Sequence[RecordingResult], summary: Mapping[str, Any]) -> bytes:
    each = [{"case_id": r.record.case_id, **recording_table(r.evaluation)} for r in results]
    return json_bytes(each[0] if len(each) == 1 else {**summary, "recordings": each})
