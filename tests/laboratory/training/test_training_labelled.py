"""Labelled folders: several annotators, groups, formats, and what is refused."""

import csv
import hashlib
import json

import cv2
import numpy as np
import pytest

from ubereport.core.choices import LabelFormat
from ubereport.core.errors import AnnotationError, OutputError, UsageError
from ubereport.laboratory.annotation.formats import (
    detect_format,
    read_annotations,
    write_annotations,
)
from ubereport.laboratory.annotation.types import Annotation, label_names
from ubereport.laboratory.training.labelled import (
    LabelSources,
    consensus_of,
    convert_labels,
    import_labels,
)
from ubereport.laboratory.training.labelled_stills import read_label, read_manifest

HEIGHT, WIDTH = 24, 32


def drawn(still, annotator="a", *, blood=(4, 12), ignore=None, group=None):
    """Blood in rows `blood`, undecided in rows `ignore`."""
    masks = []
    for rows in (blood, ignore):
        mask = np.zeros((HEIGHT, WIDTH), bool)
        if rows is not None:
            mask[rows[0] : rows[1]] = True
        masks.append(mask)
    return Annotation.from_masks(still, *masks, annotator=annotator, group=group)


@pytest.fixture
def stills(tmp_path):
    """Two recordings as `train frames` leaves them: a folder each, listed."""
    rng = np.random.default_rng(3)
    for group in ("C1", "C2"):
        folder = tmp_path / "stills" / group
        folder.mkdir(parents=True)
        with (folder / "stills.csv").open("w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(["name", "image", "group", "kind", "time_s"])
            for i in range(2):
                name = f"{group}_{i:06d}"
                rows.writerow([name, f"{name}.png", f"op-{group}", "unlabelled", i])
                picture = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
                cv2.imwrite(str(folder / f"{name}.png"), picture)
    return tmp_path / "stills"


NAMES = ("C1_000000.png", "C1_000001.png", "C2_000000.png", "C2_000001.png")
EVERY = [
    drawn(NAMES[0], ignore=(12, 14)),
    drawn(NAMES[1], blood=None),
    drawn(NAMES[2], blood=(0, 24)),
    drawn(NAMES[3], blood=None, ignore=(0, 3)),
]
WRITTEN = [kind for kind in LabelFormat if kind not in (LabelFormat.AUTO, LabelFormat.FOLDER)]


@pytest.mark.parametrize("kind", WRITTEN)
def test_every_format_is_found_and_becomes_what_training_reads(stills, tmp_path, kind):
    suffix = {"cvat": ".xml", "png": "", "labelme": ""}.get(kind, ".json")
    source = tmp_path / f"drawn{suffix}"
    write_annotations(EVERY, kind, source)
    assert detect_format(source) is kind
    made = import_labels(LabelSources((source,), stills), tmp_path / "labelled")
    assert (made.n_blood, made.n_zero, made.n_groups) == (2, 2, 2)
    read = read_manifest(made.manifest)
    assert [(s.name, s.group) for s in read] == [
        (name[:-4], f"op-{name[:2]}") for name in sorted(NAMES)
    ]
    for still, expected in zip(read, EVERY, strict=True):
        label = read_label(still, HEIGHT, WIDTH)
        assert np.array_equal(label == 1, expected.blood)
        assert np.array_equal(label == 255, expected.ignore)
    assert not (tmp_path / "labelled" / "annotators").exists()
    # And back: what the department's tool reads holds the same masks.
    again = tmp_path / f"again{suffix}"
    assert convert_labels(tmp_path / "labelled", kind, again) == 4
    back = {a.still: a for a in read_annotations(again, kind)}
    assert all(np.array_equal(back[a.still].blood, a.blood) for a in EVERY)


def test_two_annotators_become_their_consensus_and_both_are_kept(stills, tmp_path):
    both = [drawn(NAMES[0], "a", blood=(4, 12)), drawn(NAMES[0], "b", blood=(6, 14))]
    write_annotations(both, LabelFormat.COCO, tmp_path / "both.json")
    made = import_labels(LabelSources((tmp_path / "both.json",), stills), tmp_path / "labelled")
    assert made.annotators == ("a", "b")
    (still,) = read_manifest(made.manifest)
    label = read_label(still, HEIGHT, WIDTH)
    # Rows 6 to 11 both drew; on 4, 5, 12, 13 they differ.
    assert set(np.flatnonzero((label == 1).all(axis=1))) == set(range(6, 12))
    assert set(np.flatnonzero((label == 255).all(axis=1))) == {4, 5, 12, 13}
    kept = {a.annotator: a for a in read_annotations(tmp_path / "labelled")}
    assert all(np.array_equal(kept[a.annotator].blood, a.blood) for a in both)
    only = LabelSources((tmp_path / "labelled",), stills, only=("b",))
    alone = import_labels(only, tmp_path / "alone")
    label = read_label(read_manifest(alone.manifest)[0], HEIGHT, WIDTH)
    assert np.array_equal(label == 1, both[1].blood)
    rest = LabelSources((tmp_path / "labelled",), stills, without=("a",))
    assert import_labels(rest, tmp_path / "rest").annotators == ("b",)


def test_what_anyone_left_undecided_is_undecided():
    three = [drawn("s.png", who, blood=(4, 12)) for who in "abc"]
    three[2] = drawn("s.png", "c", blood=None, ignore=(0, 6))
    made = consensus_of(three)
    assert set(np.flatnonzero(made.blood.all(axis=1))) == set(range(6, 12))
    assert set(np.flatnonzero(made.ignore.all(axis=1))) == set(range(6))


def test_groups_come_from_a_list_folders_or_names(stills, tmp_path):
    write_annotations([drawn(NAMES[0]), drawn(NAMES[2])], LabelFormat.COCO, tmp_path / "d.json")
    source = (tmp_path / "d.json",)

    def groups(**given):
        made = import_labels(LabelSources(source, stills, **given), tmp_path / "out" / str(given))
        return [still.group for still in read_manifest(made.manifest)]

    assert groups() == ["op-C1", "op-C2"]
    listed = tmp_path / "groups.csv"
    listed.write_text("name,group\nC1_000000,one\nC2_000000,two\n")
    assert groups(groups=listed) == ["one", "two"]
    for folder in stills.iterdir():
        (folder / "stills.csv").unlink()
    assert groups(annotator="folders") == ["C1", "C2"]
    for name in NAMES:
        (stills / name[:2] / name).rename(stills / name)
    assert groups(annotator="names") == ["C1", "C2"]
    listed.write_text("name,group\nC1_000000,one\n")
    with pytest.raises(AnnotationError, match=r"1 stills are not known, such as .* C2_000000\.png"):
        groups(groups=listed, annotator="lacking")


def test_a_still_whose_recording_is_not_known_is_refused(tmp_path):
    folder = tmp_path / "stills"
    folder.mkdir()
    cv2.imwrite(str(folder / "img7.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    write_annotations([drawn("img7.png")], LabelFormat.COCO, tmp_path / "d.json")
    with pytest.raises(AnnotationError, match="Give --groups"):
        import_labels(LabelSources((tmp_path / "d.json",), folder), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_missing_stills_are_refused_or_counted(stills, tmp_path):
    write_annotations([*EVERY, drawn("gone.png")], LabelFormat.COCO, tmp_path / "d.json")
    given = LabelSources((tmp_path / "d.json",), stills)
    with pytest.raises(AnnotationError, match=r"1 annotated stills .* such as gone\.png"):
        import_labels(given, tmp_path / "out")
    passed = LabelSources((tmp_path / "d.json",), stills, is_missing_allowed=True)
    assert import_labels(passed, tmp_path / "out").missing == ("gone.png",)
    with pytest.raises(OutputError, match="exists already"):
        import_labels(passed, tmp_path / "out")


def test_one_annotator_twice_on_a_still_and_nobody_at_all(stills, tmp_path):
    for name in ("d.json", "e.json"):
        write_annotations([drawn(NAMES[0])], LabelFormat.COCO, tmp_path / name)
    twice = LabelSources((tmp_path / "d.json", tmp_path / "e.json"), stills)
    with pytest.raises(AnnotationError, match="annotated twice by a"):
        import_labels(twice, tmp_path / "out")
    with pytest.raises(AnnotationError, match="annotated by: a"):
        import_labels(LabelSources((tmp_path / "d.json",), stills, only=("b",)), tmp_path / "out")


def test_rejected_candidates_can_be_drawn_and_come_back(stills, tmp_path):
    folder = tmp_path / "to-label"
    (folder / "masks").mkdir(parents=True)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:5, :5] = 255
    rows, answers = [], {}
    for name, answer in zip(NAMES[:2], ("accept", "reject"), strict=True):
        cv2.imwrite(str(folder / "masks" / name), mask)
        content = (stills / name[:2] / name).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        rows.append({"name": name[:-4], "still": name, "sha256": digest})
        answers[name[:-4]] = {"answer": answer, "edits": []}
    table = {"schema": "ubereport-proposal/2", "key": "k", "stills": rows}
    (folder / "proposal.json").write_text(json.dumps(table))
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"schema": "ubereport-answers/1", "key": "k", "answers": answers}))
    with pytest.raises(UsageError, match="--proposal"):
        import_labels(LabelSources((path,), stills), tmp_path / "out")
    given = LabelSources((path,), stills, proposal=folder, rejected_as=LabelFormat.CVAT)
    made = import_labels(given, tmp_path / "out")
    assert (made.n_blood, made.rejected) == (1, (NAMES[1][:-4],))
    # Drawn, the rejected one joins the others.
    start = read_annotations(made.to_draw)
    assert np.array_equal(start[0].blood, mask > 0)
    both = LabelSources((path, made.to_draw), stills, proposal=folder)
    whole = import_labels(both, tmp_path / "whole")
    assert (whole.n_blood, whole.rejected) == (2, ())


def test_unknown_formats_and_labels_are_refused(tmp_path):
    (tmp_path / "x.txt").write_text("hello")
    with pytest.raises(AnnotationError, match="of no known format"):
        detect_format(tmp_path / "x.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AnnotationError, match="of no known format"):
        detect_format(tmp_path / "empty")
    with pytest.raises(UsageError, match="cannot be written as polygons"):
        write_annotations(EVERY, LabelFormat.COCO, tmp_path / "c.json", is_polygon=True)
    assert label_names("Blut, Koagel;unklar").blood == ("Blut", "Koagel")
    for bad in ("", ";ignore", "a;A"):
        with pytest.raises(AnnotationError, match="cannot be used"):
            label_names(bad)
