"""Columns that may name a patient are refused; those that departments compare by are not."""

import pytest

from ubereport.batch.manifest import NEEDED, read_manifest
from ubereport.batch.manifest_patients import may_name_a_patient
from ubereport.core.covariates import KNOWN_COLUMNS
from ubereport.core.errors import ManifestError

REFUSED_BEFORE = ("patient", "patient_id", "patient_name", "name", "mrn", "birth_date")


@pytest.mark.parametrize(
    "name",
    [
        *REFUSED_BEFORE,
        *("Patient Name", "Patient-Name", "patientname", "PATIENT.NAME", "Name (Patient)"),
        *("dob", "DOB", "D.O.B.", "Date of birth", "MRN", "Patient ID", "Patient No.", "Patient #"),
        *("First Name", "Surname", "NHS number", "E-Mail"),
        *("Geburtsdatum", "Geb.-Dat.", "Vorname", "Nachname", "Name, Vorname", "Patientenname"),
        *("Patienten-ID", "Pat.-Nr.", "Fallnummer", "Versichertennummer"),
        *("nombre", "Nombre del paciente", "Apellidos", "fecha de nacimiento", "Fecha_Nacimiento"),
        *("Nº de historia clínica", "N.º historia", "NUMERO DE HISTORIA CLINICA", "NHC", "DNI"),
        *("患者", "患者名", "氏名", "氏 名", "姓", "生年月日", "患者ID", "患者ＩＤ", "カルテ番号"),
        *("ｶﾙﾃ番号", "フリガナ", "患者No."),
        "Geburtsdatum\N{NO-BREAK SPACE}",
        "fecha de nacimiento".upper(),
        "identificacio\N{COMBINING ACUTE ACCENT}n del paciente",
    ],
)
def test_the_usual_names_are_refused_however_they_are_written(name):
    assert may_name_a_patient(name)


OWN = (
    "room", "note", "device", "device_name", "procedure_name", "drug name", "hospital",
    "hospital_id", "patient_age", "Patient age", "patient sex", "patient_position", "n_patients",
    "case number", "birth_weight", "Operateur", "Zugang", "Lagerung", "Fallzahl", "Namenszug",
    "cirujano", "edad", "sexo", "nivel", "técnica", "術者", "年齢", "性別", "術式", "椎間", "id",
    "", " ", "-", "(…)",
)  # fmt: skip


def spellings(name):
    spaced = name.replace("_", " ")
    yield from (name, name.upper(), name.title(), spaced, spaced.title(), name.replace("_", "-"))
    yield name.replace("_", "")


@pytest.mark.parametrize(
    "name", [*NEEDED, *(c.name for c in KNOWN_COLUMNS), *(c.title for c in KNOWN_COLUMNS), *OWN]
)
def test_columns_of_a_case_are_not_refused(name):
    assert not [each for each in spellings(name) if may_name_a_patient(each)]


def test_a_manifest_with_every_known_column_is_read(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"a")
    names = [*NEEDED, *(c.name for c in KNOWN_COLUMNS)]
    cells = ["C1", "a.mp4", *("" for _ in KNOWN_COLUMNS)]
    (tmp_path / "cases.csv").write_text(f"{','.join(names)}\n{','.join(cells)}\n")
    (case,) = read_manifest(tmp_path / "cases.csv").cases
    assert set(case.covariates) == {c.name for c in KNOWN_COLUMNS}


def test_each_of_them_is_told_before_any_row_is_read(tmp_path):
    (tmp_path / "cases.csv").write_text("case_id,files,Patient Name,生年月日,DOB\nC1,none.mp4,,,\n")
    with pytest.raises(ManifestError) as refused:
        read_manifest(tmp_path / "cases.csv")
    told = str(refused.value).splitlines()[1:]
    assert [line.split(":")[2] for line in told] == ["DOB", "Patient Name", "生年月日"]
    assert all("the column may name a patient → remove it" in line for line in told)
