"""One case end to end with the HSV baseline: what is published, resumed, rendered again."""

import hashlib
import json
import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import scene
from tests_support import PLAIN_PDF, copy_bytes, plain_reports

from ubereport.analysis.derived_numbers import rederive
from ubereport.batch.case import CaseRequest, rerender_case, run_case
from ubereport.core.case import Flag, FlagLevel
from ubereport.core.config import (
    AnalysisConfig,
    EventConfig,
    SamplingConfig,
    SamplingMode,
    SegmentationConfig,
)
from ubereport.core.errors import CaseRecordError, RecordingFormatError
from ubereport.core.progress import Stage, silent
from ubereport.documents.case.reports import RenderedReport
from ubereport.files.records.store import read_case
from ubereport.metrics.flags import DERIVED_FLAGS
from ubereport.segmentation import routes
from ubereport.video.pyav import EncoderSpec
from ubereport.video.writer import VideoWriter

pytestmark = pytest.mark.slow
CONFIG = AnalysisConfig(segmentation=SegmentationConfig(model="hsv-red", batch_size=4))
UNIFORM = replace(CONFIG, sampling=SamplingConfig(SamplingMode.UNIFORM))


def request(recording: Path, out: Path, **changes) -> CaseRequest:
    return replace(CaseRequest((recording,), out, "C1", CONFIG), **changes)


def digests(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != "run.json"
    }


@pytest.fixture(name="plain_reports")
def _plain_reports(monkeypatch):
    plain_reports(monkeypatch)


@pytest.fixture(scope="module")
def published(bleeding_recording, tmp_path_factory):
    return run_case(request(bleeding_recording, tmp_path_factory.mktemp("out")), silent)


def test_the_known_bleed_is_found(published):
    (event,) = published.record.events
    assert event.onset_s == pytest.approx(6.0, abs=0.5)
    assert event.clear_s == pytest.approx(14.0, abs=0.5)
    assert event.peak_area_frac == pytest.approx(0.25, abs=0.02)
    assert published.record.metric("impaired_share_20").value == pytest.approx(8 / 24, abs=0.03)
    assert published.record.metric("coverage_frac").value == pytest.approx(1.0)


def test_the_folder_is_complete_and_reads_back(published):
    names = {p.name for p in published.folder.iterdir()}
    assert {"case.json", "series.parquet", "events.csv", "report.html", "report.pdf"} <= names
    assert len(list((published.folder / "frames").iterdir())) == 6
    again = read_case(published.folder)
    assert again.metrics == published.record.metrics
    np.testing.assert_array_equal(again.series.area_frac, published.record.series.area_frac)
    assert not list(published.folder.parent.glob("*.work"))


def test_no_name_reaches_any_output(published):
    for path in published.folder.rglob("*"):
        if path.is_file():
            assert b"SECRET" not in path.read_bytes(), path.name


def test_the_second_run_reuses_the_first(published, bleeding_recording):
    again = run_case(request(bleeding_recording, published.folder.parent), silent)
    assert again.is_reused
    assert again.folder == published.folder


def test_two_runs_give_the_same_bytes(published, bleeding_recording, tmp_path):
    again = run_case(request(bleeding_recording, tmp_path), silent)
    assert digests(again.folder) == digests(published.folder)


@pytest.fixture(scope="module")
def uniform(bleeding_recording, tmp_path_factory):
    """The same case with every picture of the full-rate grid looked at."""
    out = tmp_path_factory.mktemp("uniform")
    return run_case(request(bleeding_recording, out, config=UNIFORM), silent)


def test_adaptive_sampling_looks_at_less_and_finds_the_same(published, uniform):
    """Keyframes 1 s apart are thinned to 3 s; the grid is looked at around the bleed."""
    (event,), (reference,) = published.record.events, uniform.record.events
    assert (event.onset_s, event.clear_s) == (reference.onset_s, reference.clear_s)
    for key in ("impaired_share_20", "area_mean_frac", "coverage_frac"):
        value = published.record.metric(key).value
        assert value == pytest.approx(uniform.record.metric(key).value, abs=0.005)
    # Of 24 s with one event most is near a threshold, and the grid there is filled at once.
    assert len(published.record.series) < 0.9 * len(uniform.record.series)
    assert published.record.provenance.sampling.startswith("adaptive: ")


def test_adaptive_sampling_on_one_thread_gives_the_same_bytes(
    published, bleeding_recording, tmp_path
):
    again = run_case(request(bleeding_recording, tmp_path, n_threads=1), silent)
    assert digests(again.folder) == digests(published.folder)


@pytest.mark.parametrize("n_steps", [1, 3, 5, 6, 7, 8, 9])
def test_an_interrupted_adaptive_run_goes_on_and_gives_the_same_bytes(
    published, bleeding_recording, tmp_path, plain_reports, monkeypatch, n_steps
):
    """Interrupted in the first pass, between passes and in a later one."""
    monkeypatch.setattr("ubereport.analysis.measurer.BATCHES_PER_CHUNK", 1)
    seen = []

    def interrupt(progress):
        if progress.stage is Stage.MEASURE:
            seen.append(progress)
            if len(seen) == n_steps:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_case(request(bleeding_recording, tmp_path), interrupt)
    again = run_case(request(bleeding_recording, tmp_path), silent)
    ours, theirs = digests(again.folder), digests(published.folder)
    for name in ("case.json", "series.parquet", "events.csv"):
        assert ours[name] == theirs[name], name


def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(
    uniform, bleeding_recording, tmp_path, monkeypatch
):
    monkeypatch.setattr("ubereport.analysis.measurer.BATCHES_PER_CHUNK", 2)
    seen = []

    def interrupt(progress):
        if progress.stage is Stage.MEASURE:
            seen.append(progress)
            if len(seen) == 7:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_case(request(bleeding_recording, tmp_path, config=UNIFORM), interrupt)
    assert not list(tmp_path.glob("*/case.json"))
    resumed = []
    again = run_case(request(bleeding_recording, tmp_path, config=UNIFORM), resumed.append)
    first = next(p for p in resumed if p.stage is Stage.MEASURE)
    assert first.resumed_s >= 8.0
    assert digests(again.folder) == digests(uniform.folder)


def test_a_case_goes_on_on_a_machine_with_another_device(bleeding_recording, tmp_path, monkeypatch):
    """Chunks follow each other, though a graphics device looks at more pictures at once."""
    segmentation = SegmentationConfig(model="hsv-red")
    config = replace(UNIFORM, segmentation=segmentation)
    monkeypatch.setattr("ubereport.analysis.measurer.BATCHES_PER_CHUNK", 2)
    monkeypatch.setattr(routes, "PROCESSOR_BATCH", 4)
    monkeypatch.setattr(routes, "ACCELERATOR_BATCH", 8)
    monkeypatch.setattr(routes, "is_accelerator_likely", lambda: False)
    whole = run_case(request(bleeding_recording, tmp_path / "whole", config=config), silent)
    seen = []

    def interrupt(progress):
        if progress.stage is Stage.MEASURE:
            seen.append(progress)
            if len(seen) == 5:
                raise KeyboardInterrupt

    monkeypatch.setattr(routes, "is_accelerator_likely", lambda: True)
    assert routes.batch_size_for(segmentation) == 8
    asked = request(bleeding_recording, tmp_path / "again", config=config)
    with pytest.raises(KeyboardInterrupt):
        run_case(asked, interrupt)
    monkeypatch.setattr(routes, "is_accelerator_likely", lambda: False)
    resumed = []
    again = run_case(asked, resumed.append)
    first = next(p for p in resumed if p.stage is Stage.MEASURE)
    assert first.resumed_s >= 8.0
    assert digests(again.folder) == digests(whole.folder)


def test_a_reused_case_takes_what_the_manifest_says_now(published, bleeding_recording, tmp_path):
    out = shutil.copytree(published.folder.parent, tmp_path / "out")
    before = digests(out)
    asked = request(bleeding_recording, out, manifest_json='{"drain_ml": 120}')
    again = run_case(asked, silent)
    assert again.is_reused
    manifest = again.folder / "manifest.json"
    assert manifest.read_text() == '{"drain_ml": 120}'
    manifest.unlink()
    assert digests(out) == before


def test_a_recording_replaced_under_the_same_size_and_time_is_measured_again(
    bleeding_recording, plain_reports, tmp_path
):
    mine = tmp_path / "mine.mp4"
    copy_bytes(bleeding_recording, mine)
    with mine.open("ab") as file:
        file.write(b"\0\0\0\x10free" + bytes(8))
    asked = request(mine, tmp_path / "out")
    run_case(asked, silent)
    before = mine.stat()
    mine.touch()
    assert run_case(asked, silent).is_reused
    with mine.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\1")
    os.utime(mine, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert mine.stat().st_size == before.st_size
    assert not run_case(asked, silent).is_reused


def test_forcing_measures_again(published, bleeding_recording, plain_reports, tmp_path):
    out = shutil.copytree(published.folder.parent, tmp_path / "out")
    again = run_case(request(bleeding_recording, out, is_forced=True), silent)
    assert not again.is_reused


def test_other_settings_are_not_reused(published, bleeding_recording, plain_reports, tmp_path):
    out = shutil.copytree(published.folder.parent, tmp_path / "out")
    config = replace(CONFIG, sampling=SamplingConfig(SamplingMode.UNIFORM, rate_hz=1.0))
    again = run_case(request(bleeding_recording, out, config=config), silent)
    assert not again.is_reused
    assert len(again.record.series) == pytest.approx(24, abs=1)


def test_rendering_again_with_other_thresholds_needs_no_recording(
    published, tmp_path, plain_reports
):
    def stricter(events: EventConfig) -> EventConfig:
        return replace(events, onset_frac=0.4)

    strict = rerender_case(published.folder, stricter, tmp_path)
    assert strict.record.events == ()
    assert strict.record.metric("event_count").value == 0
    np.testing.assert_array_equal(strict.record.series.area_frac, published.record.series.area_frac)
    assert "onset_frac = 0.4" in strict.record.provenance.config_toml


def test_rendering_again_unchanged_changes_no_number(published, tmp_path):
    same = rerender_case(published.folder, lambda events: events, tmp_path)
    assert same.record.metrics == published.record.metrics
    assert same.record.events == published.record.events
    assert same.record.flags == published.record.flags
    assert digests(same.folder) == digests(published.folder)


def test_flags_of_an_earlier_version_are_told_anew_and_those_of_the_recording_stay(published):
    of_recording = Flag("truncated", FlagLevel.WARNING, "The file was cut.")
    worded_before = Flag("several_parts", FlagLevel.INFO, "As an earlier version said it.")
    record = replace(published.record, flags=(of_recording, worded_before))
    again = rederive(record, CONFIG.events)
    assert again.flags[0] == of_recording
    assert set(again.flags[1:]) == {f for f in published.record.flags if f.key in DERIVED_FLAGS}
    assert again.flags[1:]


def test_each_language_is_rendered_once(published, tmp_path, monkeypatch):
    folder = tmp_path / published.folder.name
    shutil.copytree(published.folder, folder, copy_function=shutil.copyfile)
    rendered = []

    def counted(record, files, choice, language, sections, stem):
        rendered.append(language)
        return RenderedReport(b"<p>", PLAIN_PDF, 0.0, stem)

    monkeypatch.setattr("ubereport.batch.case.render_report", counted)
    rerender_case(folder, lambda events: events, None)
    rerender_case(folder, lambda events: events, None, language="de")
    assert rendered == ["en", "en", "de"]


def test_rendering_in_place_keeps_a_case_that_the_next_run_uses(
    published, bleeding_recording, plain_reports, tmp_path
):
    folder = tmp_path / published.folder.name
    shutil.copytree(published.folder, folder, copy_function=shutil.copyfile)
    rerender_case(folder, lambda events: events, None)
    again = run_case(request(bleeding_recording, tmp_path), silent)
    assert again.is_reused
    facts, before = (
        json.loads((each / "run.json").read_text()) for each in (folder, published.folder)
    )
    assert facts["fingerprint"] == before["fingerprint"]
    assert set(facts["stage_s"]) == set(before["stage_s"])
    rerender_case(folder, lambda events: replace(events, onset_frac=0.2), None)
    assert "fingerprint" not in json.loads((folder / "run.json").read_text()), (
        "other thresholds look elsewhere, so this is no longer what a run with them gives"
    )


@pytest.mark.parametrize("damage", ["", "[]", "{"])
def test_a_case_whose_run_facts_are_damaged_is_measured_again(
    published, bleeding_recording, plain_reports, tmp_path, damage
):
    folder = tmp_path / published.folder.name
    shutil.copytree(published.folder, folder, copy_function=shutil.copyfile)
    (folder / "run.json").write_text(damage)
    assert not run_case(request(bleeding_recording, tmp_path), silent).is_reused


def test_a_folder_without_a_case_is_told(tmp_path):
    with pytest.raises(CaseRecordError):
        rerender_case(tmp_path, lambda events: events, None)


def test_stage_times_lie_beside_the_record(published):
    run = json.loads((published.folder / "run.json").read_text())
    assert all(seconds >= 0 for seconds in run["stage_s"].values())
    assert "stage_s" not in (published.folder / "case.json").read_text()


def test_a_case_runs_with_sockets_blocked(bleeding_recording, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert run_case(request(bleeding_recording, tmp_path), silent).report_pdf.is_file()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_cut_recording_is_analyzed_as_far_as_it_goes(
    streamable_recording, tmp_path, plain_reports, share
):
    cut = copy_bytes(streamable_recording, tmp_path / "cut.mp4", share)
    published = run_case(request(cut, tmp_path / "out"), silent)
    record = published.record
    assert record.metric("recorded_s").value == pytest.approx(24.0, abs=0.1)
    # The bytes are spread evenly but for the table of contents; what is cut is lost, not clean.
    coverage_frac = record.metric("coverage_frac").value
    assert coverage_frac < 1.0
    assert coverage_frac == pytest.approx(share, abs=0.08)
    assert (share == 0.99) or [f.key for f in record.flags if "part 1" in f.message.lower()]


def test_a_cut_is_told_on_page_one(streamable_recording, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "ubereport.documents.case.rendering.render_pdf", lambda view, choice: PLAIN_PDF
    )
    cut = copy_bytes(streamable_recording, tmp_path / "cut.mp4", 0.5)
    html = run_case(request(cut, tmp_path / "out"), silent).report_html.read_text()
    assert "Part 1 is cut: it declares 24.0 s" in html.split('id="events"')[0]


def test_an_index_that_was_cut_off_leaves_nothing_to_read(bleeding_recording, tmp_path):
    cut = copy_bytes(bleeding_recording, tmp_path / "cut.mp4", share=0.5)
    with pytest.raises(RecordingFormatError, match=r"^[^\n]+$"):
        run_case(request(cut, tmp_path / "out"), silent)
    assert not list((tmp_path / "out").glob("*/case.json"))


def test_parts_may_differ_in_size_codec_and_rate(bleeding_recording, tmp_path, plain_reports):
    """The same 25 % of the view is counted as such in both."""
    second = tmp_path / "second.avi"
    with VideoWriter(
        second, EncoderSpec(320, 180, 5, codec="mpeg4", options={"b": "4M", "g": "5"})
    ) as writer:
        for i in range(60):
            writer.write(np.kron(scene(i * 2)[::2, ::2], np.ones((3, 4, 1), np.uint8)))
    parts = (bleeding_recording, second)
    record = run_case(request(bleeding_recording, tmp_path / "out", parts=parts), silent).record
    assert [(p.width_px, p.height_px, p.codec) for p in record.parts] == [
        (160, 120, "h264"),
        (320, 180, "mpeg4"),
    ]
    first, again = record.events
    assert (first.peak_s < 24.0, again.onset_s) == (True, pytest.approx(30.0, abs=0.6))
    assert again.peak_area_frac == pytest.approx(first.peak_area_frac, abs=0.02)


def test_what_a_container_says_reaches_no_output(bleeding_recording, tmp_path, capfd):
    """Recorders write patient names and, in theory, markup into titles and comments."""
    titled = tmp_path / "SECRET-0.mp4"
    with av.open(str(bleeding_recording)) as old, av.open(str(titled), "w") as new:
        new.metadata.update({"title": "SECRET <script>", "comment": "SECRET", "artist": "SECRET"})
        stream = new.add_stream_from_template(old.streams.video[0])
        stream.metadata["handler_name"] = "SECRET"
        for packet in old.demux(old.streams.video[0]):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    assert titled.read_bytes().count(b"SECRET") >= 3
    published = run_case(request(titled, tmp_path / "out"), silent)
    for path in published.folder.rglob("*"):
        assert "SECRET" not in path.name
        assert path.is_dir() or b"SECRET" not in path.read_bytes(), path.name
    assert "SECRET" not in "".join(capfd.readouterr())


def test_two_parts_are_one_case(bleeding_recording, tmp_path, plain_reports):
    second = copy_bytes(bleeding_recording, tmp_path / "second.mp4")
    second.write_bytes(second.read_bytes() + b"\0" * 8)
    parts = (bleeding_recording, second)
    published = run_case(request(bleeding_recording, tmp_path / "out", parts=parts), silent)
    assert len(published.record.parts) == 2
    assert published.record.series.recorded_s == pytest.approx(48.0, abs=0.2)
    assert [e.onset_s for e in published.record.events] == pytest.approx([6.0, 30.0], abs=0.6)
