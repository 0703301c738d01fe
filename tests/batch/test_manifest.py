"""Manifests: every problem at once, dates, techniques, twins, formats."""

import datetime as dt
import json
from pathlib import Path

import pytest

import ubereport
from ubereport.batch.manifest import TECHNIQUES, read_manifest
from ubereport.batch.pseudonyms import default_key_file, pseudonymized
from ubereport.batch.run import plan_batch
from ubereport.core.config import AnalysisConfig
from ubereport.core.errors import ManifestError


@pytest.fixture
def folder(tmp_path):
    for name in ("a.mp4", "b.mp4", "c1.mp4", "c2.mp4"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def write(folder, text, name="cases.csv", encoding="utf-8"):
    path = folder / name
    path.write_text(text, encoding=encoding)
    return path


GOOD = """case_id,files,date,surgeon,technique,levels,antithrombotics,hb_drop_g_dl,room
C1,a.mp4,2026-03-14,Dr. Ito,bone wax,1,yes,0.8,OR 1
C2,b.mp4,14.03.2026,Dr. Kay,RF coagulation,2,no,,OR 2
C3,c1.mp4;c2.mp4,2026/03/15,Dr.  Ito,Bone-Wax,1,,1.2,OR 1
"""


def test_a_good_manifest_is_read(folder):
    manifest = read_manifest(write(folder, GOOD))
    one, two, three = manifest.cases
    assert [c.case_id for c in manifest.cases] == ["C1", "C2", "C3"]
    assert [p.name for p in three.parts] == ["c1.mp4", "c2.mp4"]
    assert [c.covariates["date"] for c in manifest.cases] == [
        "2026-03-14",
        "2026-03-14",
        "2026-03-15",
    ]
    assert (one.covariates["antithrombotics"], two.covariates["antithrombotics"]) == (True, False)
    assert three.covariates["antithrombotics"] is None
    assert two.covariates["hb_drop_g_dl"] is None
    assert three.covariates["technique"] == "bone wax"
    assert one.covariates["room"] == "OR 1"


@pytest.mark.parametrize(("delimiter", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-8")])
def test_what_spreadsheets_save_as_csv_is_read(folder, delimiter, encoding):
    text = GOOD.replace("c1.mp4;c2.mp4", '"c1.mp4;c2.mp4"').replace(",", delimiter)
    manifest = read_manifest(write(folder, text, encoding=encoding))
    assert [len(c.parts) for c in manifest.cases] == [1, 1, 2]


def test_xlsx_and_parquet_give_the_same_cases(folder):
    openpyxl = pytest.importorskip("openpyxl")
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    rows = [
        ["case_id", "files", "date", "levels"],
        ["C1", "a.mp4", dt.date(2026, 3, 14), 1],
        ["C2", "b.mp4", dt.date(2026, 3, 15), 2],
    ]
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(folder / "cases.xlsx")
    columns = {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}
    pq.write_table(pa.table(columns), folder / "cases.parquet")
    from_xlsx = read_manifest(folder / "cases.xlsx")
    from_parquet = read_manifest(folder / "cases.parquet")
    assert from_xlsx == from_parquet
    assert from_xlsx.cases[1].covariates == {"date": "2026-03-15", "levels": 2}


def problems(path):
    with pytest.raises(ManifestError) as refusal:
        read_manifest(path)
    return str(refusal.value).split("\n")[1:]


def test_every_problem_is_told_at_once_with_row_column_and_fix(folder):
    text = """case_id,files,date,technique,antithrombotics,age
C1,a.mp4,03/04/2026,bone wax,yes,sixty
C1,missing.mp4,2026-02-30,bone wacks,perhaps,60
,b.mp4,2026-03-01,,no,61
"""
    told = problems(write(folder, text))
    assert [line.split(": ")[0] for line in told] == [
        "cases.csv:2:age",
        "cases.csv:2:date",
        "cases.csv:3:antithrombotics",
        "cases.csv:3:date",
        "cases.csv:3:files",
        "cases.csv:4:case_id",
    ]
    assert "2026-04-03 or 2026-03-04" in told[1]
    assert all(" → " in line for line in told)


def test_a_near_technique_is_suggested_and_an_own_one_kept(folder):
    near = write(folder, "case_id,files,technique\nC1,a.mp4,bone wacks\n")
    assert "did you mean bone wax?" in problems(near)[0]
    own = write(folder, "case_id,files,technique\nC1,a.mp4,laser\nC2,b.mp4,Laser\n", "own.csv")
    manifest = read_manifest(own)
    assert {c.covariates["technique"] for c in manifest.cases} == {"laser"}
    assert "laser" in manifest.remarks[0]


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_known_techniques_are_taken_in_any_case(folder, technique):
    text = f"case_id,files,technique\nC1,a.mp4,{technique.upper()}\n"
    (case,) = read_manifest(write(folder, text)).cases
    assert case.covariates["technique"] == technique


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("case_id,files\nC1,a.mp4\nc1,b.mp4\n", "cases.csv:3:case_id: the same as in row 2"),
        ("case_id,files\nC1,a.mp4\nC2,a.mp4\n", "cases.csv:3:files: the same as in row 2"),
        ("case_id,files,surgeno\nC1,a.mp4,x\n", "did you mean surgeon?"),
        ("case_id,files,patient_name\nC1,a.mp4,x\n", "may name a patient"),
        ("case_id,files,files\nC1,a.mp4,b.mp4\n", "appears twice"),
        ("case_id\nC1\n", "the column is missing"),
        ("case_id,files\n", "no case"),
    ],
)
def test_problems_of_columns_and_twins(folder, text, told):
    assert told in "\n".join(problems(write(folder, text)))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cases.docx", b"x"),
        ("cases.csv", b""),
        ("cases.csv", b"\xff\xfe\x00bad"),
        ("cases.csv", b"case_id,files\nC1,a.mp4,extra\n"),
        ("cases.xlsx", b"no zip at all"),
    ],
)
def test_what_is_no_manifest_is_refused(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(ManifestError, match="manifest"):
        read_manifest(folder / name)


def test_a_manifest_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ManifestError, match="cannot be opened"):
        read_manifest(tmp_path / "none.csv")


def test_surgeons_get_the_same_pseudonyms_in_every_run(folder):
    manifest = read_manifest(write(folder, GOOD))
    key_file = default_key_file(folder / "library")
    first = pseudonymized(manifest, key_file)
    assert [c.covariates["surgeon"] for c in first.cases] == ["S1", "S2", "S1"]
    assert (key_file.stat().st_mode & 0o777) == 0o600
    assert key_file.parent == folder
    later = read_manifest(write(folder, "case_id,files,surgeon\nC9,a.mp4,Dr. Kay\n", "later.csv"))
    assert pseudonymized(later, key_file).cases[0].covariates["surgeon"] == "S2"


def test_a_planned_batch_holds_no_name_of_a_surgeon(folder):
    manifest = read_manifest(write(folder, GOOD))
    plan = plan_batch(manifest, folder / "library", AnalysisConfig(), 1)
    assert "Ito" not in repr(plan)
    assert '"S1"' in repr(plan.jobs[0].payload)
    assert "Dr. Ito" in default_key_file(folder / "library").read_text()


def test_a_damaged_key_file_is_never_replaced(folder):
    manifest = read_manifest(write(folder, GOOD))
    key_file = folder / "keys.json"
    key_file.write_text("{")
    with pytest.raises(ManifestError, match="key file"):
        pseudonymized(manifest, key_file)
    assert key_file.read_text() == "{"


def refusing(path, method):
    """Return the method of Path, denied for `path` as where somebody else owns it."""
    original = getattr(Path, method)

    def denied(self, *args, **options):
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return original(self, *args, **options)

    return denied


def test_a_key_file_that_may_not_be_read_is_asked_for_and_not_replaced(folder, monkeypatch):
    manifest = read_manifest(write(folder, GOOD))
    key_file = folder / "keys.json"
    key_file.write_text('{"surgeons": {"Dr. Ito": "S7"}}')
    with monkeypatch.context() as patched:
        # Where the folder may not be searched, asking whether the file exists fails as well.
        for method in ("exists", "open"):
            patched.setattr(Path, method, refusing(key_file, method))
        with pytest.raises(ManifestError, match="Ask whoever owns it for access") as refusal:
            pseudonymized(manifest, key_file)
    assert "backup" not in str(refusal.value)
    assert key_file.read_text() == '{"surgeons": {"Dr. Ito": "S7"}}'


SCHEMA = Path(ubereport.__file__).parent / "batch" / "manifest.schema.json"
"""Written by docs/generate.py; the tests of the documentation hold it against the program."""


def test_the_published_schema_names_the_columns_and_their_units():
    fields = {f["name"]: f for f in json.loads(SCHEMA.read_text(encoding="utf-8"))["fields"]}
    assert {"case_id", "files", "technique", "pump_pressure_mmhg", "clarity_rating"} <= set(fields)
    assert fields["map_mmhg"]["unit"] == "mm[Hg]"


def test_what_the_schema_calls_missing_is_read_as_not_known(folder):
    missing = json.loads(SCHEMA.read_text(encoding="utf-8"))["missingValues"]
    files = ("a.mp4", "b.mp4", "c1.mp4", "c2.mp4", "a.mp4;b.mp4", "c1.mp4;c2.mp4", "a.mp4;c1.mp4")
    rows = [f"C{i},{files[i]},{cell}" for i, cell in enumerate(missing)]
    manifest = read_manifest(write(folder, "\n".join(["case_id,files,age", *rows]) + "\n"))
    assert {case.covariates["age"] for case in manifest.cases} == {None}
