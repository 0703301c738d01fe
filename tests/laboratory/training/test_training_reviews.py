"""What reviewers said of cases becomes labelled stills: which pictures, which masks, what not."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import tomllib
import zlib

import cv2
import numpy as np
import pytest
from review.desk.conftest import RECORDING, measured_case  # noqa: F401 -- a fixture
from tests_support import TINY_TRAINING
from typer.testing import CliRunner

from ubereport.cli.main import app
from ubereport.core.errors import AnnotationError, OutputError, UsageError
from ubereport.files.resources import models_dir
from ubereport.laboratory.picture_files import read_rgb
from ubereport.laboratory.training.collections import read_collections
from ubereport.laboratory.training.labelled_stills import BLOOD, CLEAN, IGNORE, read_label
from ubereport.laboratory.training.reviewed_moments import ReviewedMoment, Said, reviewed_moments
from ubereport.laboratory.training.reviewed_stills import ReviewSources, import_reviews
from ubereport.laboratory.training.specification import _sets_of
from ubereport.review.desk.case_desk import CaseDesk, Saying
from ubereport.review.strokes import Action, MendedMask

SIDE_PX = 96


@pytest.fixture
def library(measured_case, tmp_path):  # noqa: F811 -- the fixture
    folder = tmp_path / "library" / measured_case.name
    shutil.copytree(measured_case, folder)
    return folder.parent


def the_case(library):
    return next(iter(library.iterdir()))


def draw(folder, time_s, blood):
    """Keep a picture and a mask in a case folder as the page does; return the stroke's mask."""
    rng = np.random.default_rng(zlib.crc32(f"{folder.name} {time_s}".encode()))
    picture = rng.integers(90, 160, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    (folder / "review").mkdir(exist_ok=True)
    kept = {}
    for name, content in (("picture", picture), ("mask", blood.astype(np.uint8) * 255)):
        png = cv2.imencode(".png", content)[1].tobytes()
        kept[f"{name}_path"] = f"review/{round(time_s * 1000):010d}-{name}.png"
        kept[f"{name}_sha256"] = hashlib.sha256(png).hexdigest()
        (folder / kept[f"{name}_path"]).write_bytes(png)
    return MendedMask(**kept)


def review_all(folder, *, with_mask=True):
    """Confirm the first event, strike the others; draw one mask over the peak of the second."""
    desk = CaseDesk(folder)
    events = desk.record.events
    assert len(events) >= 3
    if with_mask:
        blood = np.zeros((SIDE_PX, SIDE_PX), bool)
        blood[40:60, 40:60] = True
        mask = draw(folder, events[1].peak_s, blood)
        desk.say(Saying(Action.MASK, "KT", None, None, events[1].peak_s, 0.05, mask))
    for number, event in enumerate(events):
        action = Action.STRIKE if number else Action.CONFIRM
        desk.say(Saying(action, "KT", (event.onset_s, event.end_s)))
    return events


def sources(*cases, recordings=(RECORDING,), licence="CC-BY-4.0"):
    return ReviewSources(tuple(cases), tuple(recordings), models_dir(), licence)


def moments_of(folder):
    desk = CaseDesk(folder)
    journal = desk.journal()
    return reviewed_moments(desk.record, journal, desk.reviewed(journal, "KT"))


def test_a_review_labels_what_was_drawn_struck_and_confirmed(library):
    folder = the_case(library)
    events = review_all(folder)
    found = moments_of(folder)
    drawn = [m for m in found if m.said is Said.DRAWN]
    assert [m.time_s for m in drawn] == [events[1].peak_s]
    assert [m.time_s for m in found if m.said is Said.CONFIRMED] == [events[0].peak_s]
    clear_s = [m.time_s for m in found if m.said is Said.CLEAR]
    struck = [(e.onset_s, e.end_s) for e in events[1:]]
    assert clear_s
    assert all(any(a <= t < b for a, b in struck) for t in clear_s)
    assert all(b - a >= 5 for a, b in itertools.pairwise(clear_s))
    assert events[1].peak_s not in clear_s


def test_what_was_taken_back_labels_nothing(library):
    folder = the_case(library)
    events = review_all(folder)
    desk = CaseDesk(folder)
    for _ in events[1:]:
        desk.say(Saying(Action.UNDO, "KT"))
    assert {m.said for m in moments_of(folder)} == {Said.DRAWN, Said.CONFIRMED}


def test_a_stretch_called_clear_is_labelled_and_a_lost_one_is_not(library):
    folder = the_case(library)
    desk = CaseDesk(folder)
    event = desk.record.events[0]
    desk.say(Saying(Action.NOT_BLOOD, "KT", stretch=(event.onset_s, event.end_s)))
    clear = moments_of(folder)
    assert {m.said for m in clear} == {Said.CLEAR}
    area = desk.record.series.area_frac
    rows = np.searchsorted(desk.record.series.time_s, [m.time_s for m in clear])
    is_inside = (desk.record.series.time_s >= event.onset_s) & (
        desk.record.series.time_s < event.end_s
    )
    assert area[rows].max() == np.nanmax(area[is_inside])
    desk.say(Saying(Action.VIEW_LOST, "KT", stretch=(event.onset_s, event.end_s)))
    assert moments_of(folder) == ()


def test_where_a_person_said_another_area_the_model_s_masks_are_no_labels(library):
    """The picture that was called clear is one; those estimated to be clear beside it are none."""
    folder = the_case(library)
    event = review_all(folder, with_mask=False)[0]
    desk = CaseDesk(folder)
    desk.say(Saying(Action.AREA, "KT", time_s=event.peak_s, area_frac=0.0))
    review = desk.reviewed(desk.journal(), "KT")
    assert (review.series.area_frac[review.is_estimated] == 0).any()
    inside = [m for m in moments_of(folder) if event.onset_s <= m.time_s < event.end_s]
    assert [(m.said, m.time_s) for m in inside] == [(Said.CLEAR, event.peak_s)]


STRETCHES = [(Action.NOT_BLOOD, None), (Action.VIEW_LOST, None), (Action.BLOOD, 0.02)]


def a_stretch(library, action, area_frac, *, to_peak_s, is_first):
    """Say what a short stretch shows and confirm the event around it; return desk and event."""
    desk = CaseDesk(the_case(library))
    event = desk.record.events[0]
    stretch = (event.peak_s - 0.2 + to_peak_s, event.peak_s + 0.2 + to_peak_s)
    assert event.onset_s <= stretch[0] < stretch[1] <= event.end_s
    confirmed = Saying(Action.CONFIRM, "KT", (event.onset_s, event.end_s))
    said = Saying(action, "KT", stretch=stretch, area_frac=area_frac)
    for saying in (said, confirmed) if is_first else (confirmed, said):
        desk.say(saying)
    return desk, event


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(("action", "area_frac"), STRETCHES)
def test_a_confirmed_peak_of_which_a_stretch_says_otherwise_has_no_mask_of_the_model(
    library, action, area_frac, is_first
):
    desk, event = a_stretch(library, action, area_frac, to_peak_s=0.0, is_first=is_first)
    near = [m for m in moments_of(the_case(library)) if abs(m.time_s - event.peak_s) < 0.2]
    assert [m.said for m in near] == ([Said.CLEAR] if action is Action.NOT_BLOOD else [])
    # What is taken back says nothing any more.
    for _ in range(2):
        desk.say(Saying(Action.UNDO, "KT"))
    desk.say(Saying(Action.CONFIRM, "KT", (event.onset_s, event.end_s)))
    assert Said.CONFIRMED in {m.said for m in moments_of(the_case(library))}


@pytest.mark.parametrize(("action", "area_frac"), STRETCHES)
def test_a_stretch_beside_the_peak_says_nothing_of_it(library, action, area_frac):
    _, event = a_stretch(library, action, area_frac, to_peak_s=0.21, is_first=False)
    confirmed = [m for m in moments_of(the_case(library)) if m.said is Said.CONFIRMED]
    assert [m.time_s for m in confirmed] == [event.peak_s]


def test_only_a_drawn_moment_has_a_mask():
    with pytest.raises(ValueError, match="clear with the mask"):
        ReviewedMoment(
            1.0, Said.CLEAR, MendedMask("review/a.png", "0" * 64, "review/b.png", "0" * 64)
        )
    with pytest.raises(ValueError, match="drawn with the mask None"):
        ReviewedMoment(1.0, Said.DRAWN)


def test_a_labelled_folder_is_read_by_training_and_holds_no_path(library, tmp_path):
    folder = the_case(library)
    review_all(folder)
    ticks = []
    made = import_reviews(sources(library), tmp_path / "out", lambda i, n: ticks.append((i, n)))
    assert ticks == [(1, 1)]
    assert made.failed == ()
    assert (made.n_cases, made.n_groups, made.n_unreviewed) == (1, 1, 0)
    said = dict(made.n_stills)
    assert said[Said.DRAWN] == 1
    assert said[Said.CLEAR] > 1
    assert said[Said.CONFIRMED] + made.n_to_draw == 1
    stills = read_collections(made.sets)
    assert {still.group for still in stills} == {folder.name}
    assert {still.collection.licence for still in stills} == {"CC-BY-4.0"}
    by_said = {kind: [s for s in stills if f"-{kind.value}-" in s.name] for kind in Said}
    for still in by_said[Said.CLEAR]:
        rgb = read_rgb(still.image_path)
        assert still.kind == "zero"
        assert rgb.shape == (512, 512, 3)
        assert (read_label(still, 512, 512) == CLEAN).all()
        assert rgb.std() > 5, "a picture of the recording"
    (drawn,) = by_said[Said.DRAWN]
    assert (read_label(drawn, SIDE_PX, SIDE_PX) == BLOOD).sum() == 400
    for still in by_said[Said.CONFIRMED]:
        height_px, width_px = read_rgb(still.image_path).shape[:2]
        assert (read_label(still, height_px, width_px) == BLOOD).any()
    for path in (made.manifest, made.sets):
        text = path.read_text()
        assert "recording" not in text.replace("recordings", "")
        assert str(tmp_path) not in text


def test_pictures_are_those_that_were_measured(library, tmp_path):
    """The model's own reading of a still that was called clear is the area that was measured."""
    from ubereport.core.config import SegmentationConfig
    from ubereport.segmentation.bundle import find_bundle, load_bundle
    from ubereport.segmentation.predictor import open_predictor

    folder = the_case(library)
    review_all(folder, with_mask=False)
    made = import_reviews(sources(library), tmp_path / "out")
    bundle = load_bundle(find_bundle("hsv-red", models_dir()))
    predictor = open_predictor(bundle, SegmentationConfig(model="hsv-red"))
    series = CaseDesk(folder).record.series
    for still in read_collections(made.sets):
        if "-clear-" not in still.name:
            continue
        rgb = cv2.resize(
            read_rgb(still.image_path),
            (predictor.input_width_px, predictor.input_height_px),
            interpolation=cv2.INTER_AREA,
        )
        inside = (rgb > 0).any(axis=2)
        area = (predictor.masks(rgb[None])[0] & inside).sum() / inside.sum()
        row = np.searchsorted(series.time_s, int(still.name[-10:]) / 1000 + 1e-3) - 1
        assert area == pytest.approx(series.area_frac[row], abs=0.03)


def test_cases_of_one_recording_are_one_group(library, tmp_path):
    first = the_case(library)
    review_all(first)
    second = library / "z-again"
    shutil.copytree(first, second)
    record = (second / "case.json").read_text()
    (second / "case.json").write_text(record.replace('"C001"', '"C002"'))
    (second / "review.jsonl").unlink()
    review_all(second, with_mask=False)
    made = import_reviews(sources(library), tmp_path / "out")
    assert (made.n_cases, made.n_groups) == (2, 1)
    assert len({still.name for still in read_collections(made.sets)}) > 2


def test_without_the_recording_what_was_drawn_is_kept_and_the_rest_is_told(library, tmp_path):
    review_all(the_case(library))
    made = import_reviews(sources(library, recordings=()), tmp_path / "out")
    assert dict(made.n_stills) == {Said.DRAWN: 1, Said.CLEAR: 0, Said.CONFIRMED: 0}
    ((who, why),) = made.failed
    assert who == "C001"
    assert "Part 1 of the case is not among the recordings given" in why
    assert "--recording" in why


def test_another_recording_gives_no_picture(library, tmp_path):
    review_all(the_case(library), with_mask=False)
    content = bytearray(RECORDING.read_bytes())
    content[-1] ^= 1
    other = tmp_path / "SECRET.mp4"
    other.write_bytes(content)
    with pytest.raises(UsageError, match="another recording than the one measured") as told:
        import_reviews(sources(library, recordings=(other,)), tmp_path / "out")
    assert "SECRET" not in str(told.value)
    assert not (tmp_path / "out").exists()


def test_a_broken_chain_withholds_the_case_and_ends_nothing(library, tmp_path):
    first = the_case(library)
    review_all(first)
    broken = library / "broken"
    shutil.copytree(first, broken)
    path = broken / "review.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"KT"', b'"MS"', 1))
    made = import_reviews(sources(library), tmp_path / "out")
    assert made.n_cases == 1
    ((who, why),) = made.failed
    assert who == "broken"
    assert "Line 2 of the review does not follow" in why


def test_a_mask_changed_after_it_was_drawn_is_refused(library, tmp_path):
    folder = the_case(library)
    review_all(folder)
    (mask,) = (folder / "review").glob("*-mask.png")
    blood = np.ones((SIDE_PX, SIDE_PX), np.uint8) * 255
    mask.write_bytes(cv2.imencode(".png", blood)[1].tobytes())
    made = import_reviews(sources(library), tmp_path / "out")
    assert dict(made.n_stills)[Said.DRAWN] == 0
    assert "changed after it was drawn" in made.failed[0][1]


def test_cases_that_nobody_reviewed_whole_teach_nothing(library, tmp_path):
    with pytest.raises(UsageError, match="None of the 1 cases has a review that stands"):
        import_reviews(sources(library), tmp_path / "out")
    desk = CaseDesk(the_case(library))
    event = desk.record.events[0]
    desk.say(Saying(Action.STRIKE, "KT", (event.onset_s, event.end_s)))
    with pytest.raises(UsageError, match="Decide every event with `ubereport review`"):
        import_reviews(sources(library), tmp_path / "out")
    (tmp_path / "there").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        import_reviews(sources(library), tmp_path / "there")


def test_the_licence_is_asked_for_before_a_bundle_is_exported(library, tmp_path):
    review_all(the_case(library))
    silent = import_reviews(sources(library, licence=""), tmp_path / "silent")
    with pytest.raises(AnnotationError, match="No licence is stated for the set silent"):
        _sets_of(read_collections(silent.sets), silent.sets, "CC-BY-4.0")
    stated = import_reviews(sources(library, licence='own "terms"'), tmp_path / "stated")
    (described,) = _sets_of(read_collections(stated.sets), stated.sets, "CC-BY-4.0")
    assert described.licence == 'own "terms"'
    assert tomllib.loads(stated.sets.read_text())["collections"][0]["path"] == "MANIFEST.csv"


def called(*words):
    done = CliRunner().invoke(app, ["train", "import", *map(str, words)])
    return done.exit_code, done.stdout, done.stderr


def test_the_command_tells_what_it_took_and_what_not(library, tmp_path):
    review_all(the_case(library))
    code, out, _ = called(
        library, "--recording", RECORDING, "--out", tmp_path / "a", "--licence", "CC0", "--json"
    )
    assert code == 0
    told = json.loads(out)
    assert (told["n_cases"], told["n_drawn"], told["failed"]) == (1, 1, [])
    code, out, err = called(library, "--out", tmp_path / "b", "--json")
    assert code == 3
    assert json.loads(out)["failed"]
    assert "No licence is stated" in err
    assert "1 case(s) gave less than their review says" in err


def test_cases_and_annotations_are_not_mixed(library, tmp_path):
    review_all(the_case(library))
    (tmp_path / "drawn").mkdir()
    code, _, err = called(library, tmp_path / "drawn", "--out", tmp_path / "out")
    assert (code, "Import each kind into a folder of its own" in err) == (2, True)
    code, _, err = called(tmp_path / "drawn", "--out", tmp_path / "out")
    assert (code, "need --stills" in err) == (2, True)
    code, _, err = called(
        tmp_path / "drawn", "--stills", tmp_path, "--licence", "x", "--out", tmp_path / "out"
    )
    assert (code, "take no --recording" in err) == (2, True)


def test_undecided_pixels_of_a_confirmed_peak_count_neither_way(library, tmp_path):
    review_all(the_case(library), with_mask=False)
    made = import_reviews(sources(library), tmp_path / "out")
    confirmed = [s for s in read_collections(made.sets) if "-confirmed-" in s.name]
    assert len(confirmed) == 1
    height_px, width_px = read_rgb(confirmed[0].image_path).shape[:2]
    label = read_label(confirmed[0], height_px, width_px)
    assert {CLEAN, BLOOD, IGNORE} == set(np.unique(label).tolist())


def invoked(*words):
    done = CliRunner().invoke(app, list(map(str, words)))
    return done.exit_code, done.stderr


@pytest.mark.slow
def test_the_loop_is_closed_from_reviews_to_weights_and_what_to_ask_next(library, tmp_path):
    """Three recordings of which only what was drawn is at hand: a mask and a zero mask each."""
    first = the_case(library)
    recording = CaseDesk(first).record.parts[0].sha256
    for number in range(3):
        other = library / f"other-{number}"
        shutil.copytree(first, other)
        record = (other / "case.json").read_text().replace(recording, f"{number}" * 64)
        (other / "case.json").write_text(record.replace('"C001"', f'"D{number}"'))
        at_s = review_all(other)[2].peak_s
        nothing = draw(other, at_s, np.zeros((SIDE_PX, SIDE_PX), bool))
        CaseDesk(other).say(Saying(Action.MASK, "KT", None, None, at_s, 0.0, nothing))
    shutil.rmtree(first)
    labelled = tmp_path / "labelled"
    assert called(library, "--out", labelled, "--licence", "own")[0] == 3
    (tmp_path / "tiny.toml").write_text(TINY_TRAINING)
    runs = ("--runs", tmp_path / "runs")
    manifest = ("--manifest", labelled / "SETS.toml")
    code, err = invoked("train", "finetune", tmp_path / "tiny.toml", *manifest, *runs)
    assert code == 0, err
    assert (tmp_path / "runs" / "tiny" / "average.safetensors").is_file()
    assert "held out (1 with blood, 1 without)" in err
    stills = labelled / "stills"
    asked = ("--model", "hsv-red", "--reviewed", labelled / "SETS.toml", "--n", 2)
    code, err = invoked("train", "propose", stills, "--out", tmp_path / "next", *asked)
    assert code == 0, err
    assert (tmp_path / "next" / "sheet.html").is_file()
