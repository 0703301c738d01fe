"""Evaluations as reports: numbers of known masks and of a known truth, nothing of file names."""

import csv
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from ubereport.analysis.derived_numbers import derive
from ubereport.core.case import (
    CaseRecord,
    FieldSummary,
    ModelSummary,
    PartSummary,
    Provenance,
    ReaderUse,
)
from ubereport.core.config import AnalysisConfig, SegmentationConfig, config_sha256, config_to_toml
from ubereport.core.errors import AnnotationError, BundleError, CaseRecordError, UsageError
from ubereport.core.series import AreaSeries, LossReason
from ubereport.files.records.store import write_case
from ubereport.laboratory.evaluation.config import StillsConfig
from ubereport.laboratory.evaluation.evaluate import (
    RecordingRequest,
    StillsRequest,
    run_recording_evaluation,
    run_stills_evaluation,
)

SIZE = 256
BLOOD_BGR, CLEAN_BGR = (20, 18, 150), (165, 180, 190)
CONFIG = StillsConfig(n_resamples=100)
# Rows of blood in the picture, and in the reference; the HSV bundle finds the picture's exactly.
STILLS = {
    "SECRET-jane_01": (64, 64),
    "SECRET-jane_02": (64, 128),
    "SECRET-joan_01": (32, 64),
    "SECRET-joan_02": (0, 0),
    "SECRET-jill_01": (32, 0),
    "SECRET-jill_02": (128, 64),
}
DICE = [1.0, 2 * 64 / 192, 2 * 32 / 96, 2 * 64 / 192]
IOU = [1.0, 64 / 128, 32 / 64, 64 / 128]
BIAS = [0, -64 / 256, -32 / 256, 0, 32 / 256, 64 / 256]


def picture(n_rows: int) -> np.ndarray:
    bgr = np.full((SIZE, SIZE, 3), CLEAN_BGR, dtype=np.uint8)
    bgr[:n_rows] = BLOOD_BGR
    return bgr


def mask(n_rows: int) -> np.ndarray:
    drawn = np.zeros((SIZE, SIZE), dtype=np.uint8)
    drawn[:n_rows] = 255
    return drawn


def write_stills(root: Path, annotators=("",)) -> tuple[Path, Path]:
    images, masks = root / "images", root / "masks"
    images.mkdir(parents=True)
    for name, (n_seen, n_true) in STILLS.items():
        cv2.imwrite(str(images / f"{name}.png"), picture(n_seen))
        for k, annotator in enumerate(annotators):
            folder = masks / annotator
            folder.mkdir(parents=True, exist_ok=True)
            # The second annotator draws 16 rows less than the others.
            rows = max(0, n_true - 16) if k == 1 else n_true
            cv2.imwrite(str(folder / f"{name}.png"), mask(rows))
    return images, masks


def request_of(root: Path, models=("hsv-red",), annotators=("",), **options) -> StillsRequest:
    images, masks = write_stills(root, annotators)
    given = {"ignore": None, "groups": None, "models": models, "out": root / "out",
             "config": CONFIG, "segmentation": SegmentationConfig(), **options}  # fmt: skip
    return StillsRequest(images, masks, **given)


def silent(_model, _done, _n):
    """Tell nothing."""


@pytest.fixture(scope="module")
def stills(tmp_path_factory):
    root = tmp_path_factory.mktemp("stills")
    request = request_of(root, annotators=("SECRET-a", "SECRET-b", "SECRET-c"))
    return run_stills_evaluation(request, silent), request


def test_summary_has_the_agreed_keys_and_the_known_numbers(stills):
    (summary, _), _ = stills
    assert (summary["n"], summary["n_positive"], summary["n_negative"]) == (6, 4, 2)
    assert summary["dice_median"] == pytest.approx(np.median(DICE), abs=0.01)
    assert summary["dice_mean"] == pytest.approx(np.mean(DICE), abs=0.01)
    assert summary["iou_median"] == pytest.approx(np.median(IOU), abs=0.01)
    assert summary["accuracy"] == pytest.approx(5 / 6)
    assert (summary["sensitivity"], summary["specificity"]) == (1.0, 0.5)
    assert summary["negative_area_mean_frac"] == pytest.approx(32 / 256 / 2, abs=0.005)
    assert summary["area_bias_frac"] == pytest.approx(np.mean(BIAS), abs=0.005)
    assert summary["area_mae_frac"] == pytest.approx(np.mean(np.abs(BIAS)), abs=0.005)
    assert [own["model"] for own in summary["models"]] == [summary["model"]]


def test_files_are_complete(stills):
    (summary, written), request = stills
    names = {f"evaluation.{kind}" for kind in ("html", "pdf", "json")}
    names |= {f"{table}.csv" for table in ("scores", "strata", "groups")}
    assert {p.name for p in request.out.iterdir()} == names
    stored = json.loads(written.json.read_text())
    assert stored["dice_median"] == summary["dice_median"]
    # Thresholds of colors are always sure: rows of blood among rows called, by group.
    (tenth,) = (i for i, told in enumerate(stored["reliability"]["told"]) if told)
    jane, jill, joan = stored["reliability"]["groups"]
    assert jane["seen"][tenth] == pytest.approx((64 + 64) / (64 + 64), abs=0.01)
    assert jill["seen"][tenth] == pytest.approx((0 + 64) / (32 + 128), abs=0.02)
    assert joan["seen"][tenth] == pytest.approx(1.0)
    with (request.out / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == sorted(STILLS)
    assert {row["model"] for row in rows} == {summary["model"]}


def test_report_shows_the_tables_and_pictures_of_the_paper(stills):
    (_, written), _ = stills
    page = written.html.read_text()
    for words in ("Distribution of overlap", "By area of blood and by agreement",
                  "Presence of blood", "Wilson", "Agreement of the annotators", "Fleiss",
                  "Best, hsv-red", "Worst, hsv-red", "False alarms, hsv-red",
                  "limits of agreement", "Are the probabilities honest?"):  # fmt: skip
        assert words in page
    # Four pictures with blood are shown as best, middle and worst; one false alarm.
    assert len(re.findall(r'<img src="data:image/jpeg', page)) == 4 + 4 + 4 + 1


def test_report_shows_no_name_of_a_file_or_person(stills):
    (_, written), _ = stills
    assert "SECRET" not in written.html.read_text()
    assert b"SECRET" not in written.pdf.read_bytes()


def test_several_models_stand_side_by_side(tmp_path):
    copied = tmp_path / "models" / "twin-1"
    copied.mkdir(parents=True)
    from ubereport.files.resources import models_dir

    metadata = json.loads((models_dir() / "hsv-red" / "metadata.json").read_text())
    metadata["name"] = "twin"
    (copied / "metadata.json").write_text(json.dumps(metadata))
    for file in (models_dir() / "hsv-red").iterdir():
        if file.name != "metadata.json":
            (copied / file.name).write_bytes(file.read_bytes())
    request = request_of(tmp_path / "s", models=("hsv-red", str(copied)), n_examples=1)
    summary, written = run_stills_evaluation(request, silent)
    assert len(summary["models"]) == 2
    stored = json.loads(written.json.read_text())
    # The twin is the same model: no difference on any still.
    (gap,) = stored["dice_median_differences"]
    assert gap["value"] == 0.0
    page = written.html.read_text()
    assert "Models side by side" in page
    # One best, middle and worst still and one false alarm of each model.
    assert page.count('<img src="data:image/jpeg') == 2 * 4


def test_the_same_model_twice_is_refused(tmp_path):
    with pytest.raises(UsageError, match="given twice"):
        run_stills_evaluation(request_of(tmp_path, models=("hsv-red", "hsv-red")), silent)


def test_bad_stills_are_told_before_any_file_is_written(tmp_path):
    request = request_of(tmp_path)
    cv2.imwrite(str(request.masks / "SECRET-jane_01.png"), mask(3)[:50])
    with pytest.raises(AnnotationError, match="Export it at the size of its still"):
        run_stills_evaluation(request, silent)
    assert not request.out.exists()


def test_unknown_model_is_refused(tmp_path):
    with pytest.raises(BundleError):
        run_stills_evaluation(request_of(tmp_path, models=("no-such-model",)), silent)
    with pytest.raises(UsageError, match="No model"):
        run_stills_evaluation(request_of(tmp_path / "x", models=()), silent)


SHIFT_FRAC = 0.01
BLEED = (30, 60)
N_SECONDS = 120


def true_area() -> np.ndarray:
    area = np.full(N_SECONDS, 0.002)
    area[slice(*BLEED)] = 0.3
    return area


def write_truth(folder: Path, lost=(90, 100)) -> Path:
    folder.mkdir(parents=True)
    valid = [not lost[0] <= t < lost[1] for t in range(N_SECONDS)]
    rows = [
        f"{t},{a if ok else ''},{int(ok)},{'' if ok else 'black'}"
        for t, (a, ok) in enumerate(zip(true_area(), valid, strict=True))
    ]
    (folder / "area.csv").write_text("\n".join(["time_s,area_frac,is_valid,reason", *rows]) + "\n")
    (folder / "events.csv").write_text(
        f"onset_s,clear_s,peak_area_frac\n{BLEED[0]},{BLEED[1]},0.3\n"
    )
    (folder / "validity.csv").write_text(f"start_s,end_s,reason\n{lost[0]},{lost[1]},black\n")
    return folder


def write_measured(folder: Path, case_id="SIM-1", shift_frac=SHIFT_FRAC) -> Path:
    """A case whose area is the true one plus a constant; 10 s are lost, as is true."""
    config = AnalysisConfig()
    reason = [LossReason.BLACK if 90 <= t < 100 else LossReason.NONE for t in range(N_SECONDS)]
    is_valid = np.array([r is LossReason.NONE for r in reason])
    area = np.where(is_valid, true_area() + shift_frac, np.nan)
    series = AreaSeries(
        np.arange(N_SECONDS, dtype=float), np.ones(N_SECONDS), np.zeros(N_SECONDS, dtype=int),
        area, area, area, is_valid, tuple(reason),
    )  # fmt: skip
    part = PartSummary(
        sha256="1" * 64, size_bytes=1000, container="mp4", codec="h264", pixel_format="yuv420p",
        width_px=1280, height_px=720, rotation_deg=0, is_interlaced=False, color_matrix="bt709",
        color_range="tv", average_rate_hz=25.0, start_s=0.0, duration_s=120.0,
        found_duration_s=120.0, declared_duration_s=120.0, found_n_frames=3000,
        declared_n_frames=3000, gaps=(), n_samples=N_SECONDS, n_undecoded=0, n_corrupt=0,
        field_of_view=FieldSummary("circle", 280, 0, 1000, 720, 0.97),
    )  # fmt: skip
    model = ModelSummary(
        name="made-up", version="1", title="None", sha256="2" * 64, architecture="none",
        input_height_px=256, input_width_px=256, thresholds=(0.4, 0.5, 0.6),
        training_population="none", limits="none", operating_characteristics=(), evaluated_on="",
    )  # fmt: skip
    provenance = Provenance(
        ubereport_version="0.1.0", library_versions=(), model=model,
        config_toml=config_to_toml(config), config_sha256=config_sha256(config), device="cpu",
        precision="fp32", sampling="uniform", readers=(ReaderUse(0, "none", 0.0, 1.0, "test"),),
        decode_failures=(),
    )  # fmt: skip
    derived = derive(series, config.events, config.metrics)
    record = CaseRecord(
        case_id=case_id, parts=(part,), pauses=(), series=series, events=derived.events,
        metrics=derived.metrics, flags=derived.flags, key_frames=(), provenance=provenance,
    )  # fmt: skip
    write_case(record, folder, {})
    return folder


def test_recording_has_the_known_errors(tmp_path):
    case, truth = write_measured(tmp_path / "case"), write_truth(tmp_path / "truth")
    summary, written = run_recording_evaluation(RecordingRequest((case,), (truth,), None))
    assert written is None
    assert summary["area_mae_frac"] == pytest.approx(SHIFT_FRAC)
    assert summary["area_bias_frac"] == pytest.approx(SHIFT_FRAC)
    assert summary["event_f1_50"] == 1.0
    # One sample a second, smoothed over a few: onset and clearing are met within two seconds.
    assert summary["onset_error_median_s"] <= 2.0
    assert summary["clear_error_median_s"] <= 2.0
    assert summary["lost_precision"] == summary["lost_recall"] == 1.0


def test_several_recordings_are_averaged_and_reported(tmp_path):
    pairs = [
        (write_measured(tmp_path / f"c{k}", f"SIM-{k}", k / 100), write_truth(tmp_path / f"t{k}"))
        for k in (1, 2, 3)
    ]
    request = RecordingRequest(
        tuple(case for case, _ in pairs), tuple(truth for _, truth in pairs), tmp_path / "out"
    )
    summary, written = run_recording_evaluation(request)
    assert summary["area_mae_frac"] == pytest.approx(0.02)
    assert [row["case_id"] for row in summary["recordings"]] == ["SIM-1", "SIM-2", "SIM-3"]
    assert written is not None
    page = written.html.read_text()
    for words in ("Over all recordings", "Case SIM-2", "Area over time", "Lost view, by reason",
                  "Matched events", "Onset error"):  # fmt: skip
        assert words in page
    assert len(json.loads(written.json.read_text())["recordings"]) == 3
    assert written.pdf.read_bytes().startswith(b"%PDF")


def test_bad_recording_requests(tmp_path):
    case, truth = write_measured(tmp_path / "case"), write_truth(tmp_path / "truth")
    with pytest.raises(UsageError, match="one --truth for each --case"):
        run_recording_evaluation(RecordingRequest((case,), (), None))
    with pytest.raises(CaseRecordError):
        run_recording_evaluation(RecordingRequest((tmp_path / "none",), (truth,), None))
    (truth / "events.csv").unlink()
    with pytest.raises(AnnotationError, match=r"events\.csv cannot be read"):
        run_recording_evaluation(RecordingRequest((case,), (truth,), None))
