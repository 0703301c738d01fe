"""`import ubereport`: what a notebook uses, with the command line's names and errors."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import ubereport
from ubereport.api.tables import Events
from ubereport.cli.main import app
from ubereport.core.choices import SamplingMode
from ubereport.core.config import AnalysisConfig, RecordsConfig
from ubereport.core.errors import BundleError, CaseRecordError, UbereportError, UsageError
from ubereport.core.events import CensorReason, HemostasisEvent, Severity

THIS = Path(__file__)
CONFIG = AnalysisConfig(records=RecordsConfig(is_frames_kept=False))


@pytest.fixture(scope="module")
def case(bleeding_recording, tmp_path_factory):
    seen: list[float] = []
    made = ubereport.analyze(
        bleeding_recording,
        out=tmp_path_factory.mktemp("api"),
        case_id="K1",
        model="hsv-red",
        rate=1.0,
        sampling="uniform",
        config=CONFIG,
        on_progress=lambda progress: seen.append(progress.done_s),
    )
    assert seen
    return made


def loaded_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_loads_nothing_before_it_is_asked_for():
    loaded = loaded_after("import ubereport; dir(ubereport)")
    assert "ubereport" in loaded
    assert not loaded & {"numpy", "pandas", "torch", "pydantic", "av", "ubereport.api"}


@pytest.mark.quiet
def test_importing_takes_less_than_50_ms():
    def seconds(statement: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        return time.perf_counter() - start

    bare = min(seconds("pass") for _ in range(5))
    assert min(seconds("import ubereport") for _ in range(5)) - bare < 0.05


def test_every_promised_name_is_there_and_documented():
    for name in ubereport.__all__:
        assert inspect.getdoc(getattr(ubereport, name)), name
    assert set(ubereport.__all__) <= set(dir(ubereport))
    with pytest.raises(AttributeError, match="no attribute 'analyse'"):
        ubereport.analyse  # noqa: B018


@pytest.mark.parametrize(
    ("function", "command"),
    [
        (ubereport.analyze, "analyze"),
        (ubereport.run_batch, "batch"),
        (ubereport.compare, "compare"),
        (ubereport.audit, "audit"),
    ],
)
def test_parameters_have_the_names_of_the_command_line(function, command):
    callbacks = {c.name or c.callback.__name__: c.callback for c in app.registered_commands}
    options = set(inspect.signature(inspect.unwrap(callbacks[command])).parameters)
    own = {"on_progress", "on_result"}
    if command in ("compare", "audit"):
        own |= {"config"}  # their settings have no file on the command line
    mine = {"covariate" if p == "covariates" else p for p in inspect.signature(function).parameters}
    assert mine - own <= options
    assert len(mine) <= 13


@pytest.mark.slow
def test_a_case_has_tables_and_short_words(case):
    series, events = case.series.to_pandas(), case.events.to_pandas()
    assert len(series) == len(case.series) == len(case.record.series)
    promised = ["time_s", "duration_s", "part_index", "area_frac", "is_valid", "reason"]
    assert set(promised) <= set(series.columns)
    assert np.isnan(series.loc[~series["is_valid"], "area_frac"]).all()
    assert len(events) == len(case.events) == case.metrics["event_count"].value
    assert {"onset_s", "clear_s", "is_censored", "time_to_clear_s"} <= set(events.columns)
    metrics = case.metrics.to_pandas().set_index("key")
    assert metrics.loc["impaired_share_20", "value"] == case.metrics["impaired_share_20"].value
    for shown in (case, case.series, case.events, case.metrics):
        assert len(repr(shown)) < 120
        assert "<" in shown._repr_html_()
    assert "not for diagnosis" in case._repr_html_()
    assert type(case.events[:1]).__name__ == "Events"
    assert case.report_html.is_file()


@pytest.mark.slow
def test_a_stored_case_is_read_back(case):
    stored = ubereport.read_case(str(case.folder))
    assert repr(stored) == repr(case)
    assert stored.series.to_pandas().equals(case.series.to_pandas())


@pytest.mark.slow
def test_the_command_line_makes_the_same_bytes(case, bleeding_recording, tmp_path):
    settings = tmp_path / "settings.toml"
    settings.write_text("[records]\nis_frames_kept = false\n")
    argv = ["analyze", str(bleeding_recording), "--out", str(tmp_path), "--case-id", "K1"]
    argv += ["--model", "hsv-red", "--rate", "1", "--sampling", "uniform", "--quiet", "--json"]
    done = CliRunner().invoke(app, [*argv, "--config", str(settings)])
    assert done.exit_code == 0, done.output
    folder = tmp_path / case.folder.name
    for name in ("case.json", "events.csv", "report.html"):
        assert (folder / name).read_bytes() == (case.folder / name).read_bytes(), name


@pytest.mark.slow
def test_a_batch_hides_names_and_its_library_is_read(bleeding_recording, tmp_path):
    text = tmp_path / "broken.mp4"
    text.write_text("no video")
    manifest = tmp_path / "cases.csv"
    manifest.write_text(
        "case_id,files,surgeon,technique\n"
        f"A,{bleeding_recording},Dr. SECRET,bone wax\nB,broken.mp4,Dr. SECRET,drain\n"
    )
    ended = []
    batch = ubereport.run_batch(
        manifest, tmp_path / "library", model="hsv-red", config=CONFIG, on_result=ended.append
    )
    assert (batch.n_done, batch.n_failed, len(ended)) == (1, 1, 2)
    assert "Format" in batch.to_pandas().set_index("case_id").loc["B", "kind"]
    assert "1 failed" in repr(batch)
    assert "no video" not in batch._repr_html_()
    for path in (tmp_path / "library").rglob("*"):
        assert not path.is_file() or b"SECRET" not in path.read_bytes(), path
    assert json.loads((tmp_path / "library.keys.json").read_text())
    library = ubereport.read_library(tmp_path / "library")
    assert len(library) == 1
    assert [c.case_id for c in library] == ["A"] == list(library.to_pandas()["case_id"])
    assert library["A"].case_id == "A"
    assert len(library.events_to_pandas()) == len(library["A"].events)
    assert "1 cases" in repr(library)
    assert "<table" in library._repr_html_()


def test_a_model_looks_at_arrays():
    model = ubereport.load_model("hsv-red")
    red = np.full((40, 60, 3), (180, 10, 10), np.uint8)
    gray = np.full((40, 60, 3), 120, np.uint8)
    assert model.predict(red).shape == (40, 60)
    both = model.predict(np.stack([red, gray]))
    assert np.array_equal(model.predict([red, gray]), both)
    assert both.shape == (2, 40, 60)
    assert both.dtype == np.float32
    assert both[0].min() >= model.thresholds[1] > both[1].max()
    assert "hsv-red" in repr(model)
    assert model.limits


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda p: ubereport.analyze(p / "no.mp4", out=p), UsageError, "no.mp4|exist"),
        (lambda p: ubereport.analyze(p, p, rate=-1), UsageError, r"sampling\.rate_hz = -1 .* 0.01"),
        (lambda p: ubereport.analyze(p, p, sampling="x"), UsageError, "adaptive, uniform"),
        (lambda p: ubereport.analyze(p, p, device="gpu"), UsageError, "auto, cpu, cuda"),
        (lambda p: ubereport.analyze(p, p, decode="gpu"), UsageError, r"decode\.device = 'gpu'"),
        (lambda p: ubereport.analyze(p, p, continuous=3), UsageError, "is_continuous = 3 .* true"),
        (lambda p: ubereport.analyze(THIS, p, pdf="maybe"), UsageError, "pdf = 'maybe' .* always"),
        (lambda p: ubereport.analyze(p, p, config=p / "no.toml"), UsageError, "cannot be read"),
        (lambda p: ubereport.read_case(p), CaseRecordError, "case"),
        (lambda p: ubereport.read_library(p / "none"), UsageError, "no folder"),
        (lambda p: ubereport.run_batch(p / "m.csv", p), UsageError, "cannot be opened"),
        (lambda p: ubereport.compare(p, "technique", p / "x"), UsageError, "case"),
        (lambda p: ubereport.audit(p, p / "x"), UsageError, "case"),
        (lambda p: ubereport.load_model("nobody"), BundleError, "nobody"),
        (lambda p: ubereport.load_model("hsv-red").predict(np.zeros((4, 4))), UsageError, "uint8"),
    ],
)
def test_bad_input_is_told_as_on_the_command_line_and_nothing_is_printed(
    call, error, words, tmp_path, capfd
):
    with pytest.raises(error, match=words) as told:
        call(tmp_path)
    assert isinstance(told.value, ubereport.UbereportError)
    assert issubclass(error, UbereportError)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"jobs": 0}, "jobs = 0 cannot be used; allowed: a whole number, 1 to 256"),
        ({"pdf": "maybe"}, "pdf = 'maybe' cannot be used; allowed: always, auto, never"),
        ({"engine": "spark"}, "engine = 'spark' cannot be used; allowed: embedded, ray"),
    ],
)
def test_an_option_of_a_batch_out_of_bounds_is_named(option, words, tmp_path):
    (tmp_path / "a.mp4").write_text("x")
    manifest = tmp_path / "cases.csv"
    manifest.write_text("case_id,files\nA,a.mp4\n")
    with pytest.raises(UsageError, match=words):
        ubereport.run_batch(manifest, tmp_path / "library", **option)
    assert not (tmp_path / "library").exists()


def test_choices_are_taken_by_name_or_as_they_are():
    from ubereport.api.settings import Options, settings_of

    named = settings_of(None, Options(sampling="keyframes"))
    assert named == settings_of(None, Options(sampling=SamplingMode.KEYFRAMES))
    assert settings_of(CONFIG, Options(no_frames=True)) == CONFIG
    assert settings_of(None, Options(continuous=True)).events.is_continuous
    assert not settings_of(None, Options()).events.is_continuous
    assert settings_of(None, Options(decode="vaapi")).decode.device == "vaapi"


def test_tables_of_events_have_the_same_types_with_and_without_any():
    open_event = HemostasisEvent(
        1.0, False, 2.0, 0.3, 9.0, None, CensorReason.RECORDING_ENDED, 0.2, 1.6, False,
        Severity.MODERATE,
    )  # fmt: skip
    tables = [Events(events).to_pandas() for events in ((), (open_event,))]
    assert tables[0].dtypes.equals(tables[1].dtypes)
    assert np.isnan(tables[1]["clear_s"].round(1)[0])
    assert np.isnan(tables[1]["time_to_clear_s"][0])
    assert tables[1]["is_censored"].tolist() == [True]
    assert tables[1]["severity"].str.upper()[0] == "MODERATE"
