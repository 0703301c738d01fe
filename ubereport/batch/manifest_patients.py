"""Columns of a manifest that may name a patient, in the languages of the reports."""

from __future__ import annotations

import unicodedata

# As people write them; capitals, accents, spaces and points make no difference. Only whole names
# count: "patient_age" and "device_name" are columns that a department may want to compare by.
_ENGLISH = (
    "patient, patient name, patient full name, patient first name, patient last name, "
    "patient surname, name of patient, name of the patient, pt name, pat name, name, full name, "
    "first name, given name, forename, middle name, last name, family name, surname, maiden name, "
    "birth name, initials, patient initials, "
    "patient id, id of patient, patient identifier, patient number, patient no, patient nr, pid, "
    "pt id, pat id, pat no, mrn, medical record number, medical record no, medical record, "
    "health record number, hospital number, chart number, chart no, nhs number, nhs no, ssn, "
    "social security number, insurance number, health insurance number, encounter id, "
    "encounter number, admission number, accession number, "
    "dob, patient dob, date of birth, patient date of birth, birth date, patient birth date, "
    "birthday, born, born on, "
    "address, home address, patient address, phone, phone number, telephone, telephone number, "
    "email, email address"
)
_GERMAN = (
    "Patientin, Patientenname, Name Patient, Name des Patienten, Name der Patientin, Vorname, "
    "Nachname, Familienname, Zuname, Geburtsname, Name Vorname, Vorname Name, Nachname Vorname, "
    "Vorname Nachname, Vor- und Nachname, Initialen, Patienteninitialen, "
    "Patienten-ID, Patientennummer, Patienten-Nr, Patientenkennung, Pat-Nr, Fallnummer, Fall-Nr, "
    "Aufnahmenummer, Versichertennummer, Versichertennr, Versicherungsnummer, "
    "Krankenversichertennummer, KVNR, Sozialversicherungsnummer, "
    "Geburtsdatum, Geburtsdatum Patient, Geb.-Datum, Geb.-Dat., Geburtstag, geb., geb. am, "
    "geboren, geboren am, "
    "Adresse, Anschrift, Telefon, Telefonnummer"
)
_SPANISH = (
    "paciente, nombre, nombres, nombre completo, apellido, apellidos, primer apellido, "
    "segundo apellido, nombre y apellido, nombre y apellidos, apellidos y nombre, "
    "nombre del paciente, nombre de la paciente, nombre de paciente, nombre paciente, iniciales, "
    "iniciales del paciente, "
    "ID del paciente, ID de paciente, ID paciente, paciente ID, identificación del paciente, "
    "identificador del paciente, número del paciente, número de paciente, número paciente, "
    "nº de paciente, nº paciente, historia clínica, número de historia clínica, "
    "número de historia, nº de historia clínica, nº historia clínica, nº de historia, "
    "nº historia, NHC, DNI, NIE, NIF, CURP, número de seguridad social, "
    "número de la seguridad social, tarjeta sanitaria, número de tarjeta sanitaria, "
    "número de episodio, "
    "fecha de nacimiento, fecha nacimiento, fecha de nacimiento del paciente, f. de nacimiento, "
    "f. nacimiento, fecha nac., f. nac., nacimiento, cumpleaños, "
    "domicilio, dirección del paciente, teléfono, correo electrónico"
)
_JAPANESE = (
    "患者, 患者名, 患者氏名, 患者様氏名, 患者の氏名, 患者の名前, 氏名, 姓名, 名前, お名前, 姓, 名, "
    "苗字, 名字, フリガナ, ふりがな, 氏名カナ, カナ氏名, イニシャル, 患者イニシャル, "
    "患者ID, 患者番号, 患者No, 患者コード, カルテ番号, カルテNo, カルテID, 診察券番号, 診察券No, "
    "診療録番号, ID番号, 入院番号, 保険証番号, 被保険者番号, 個人番号, マイナンバー, "
    "生年月日, 患者生年月日, 誕生日, "
    "住所, 電話番号, メールアドレス"
)


def may_name_a_patient(column: str) -> bool:
    """Return whether a column is called as departments call names, numbers and birthdays.

    >>> [may_name_a_patient(name) for name in ("Patient-Name", "F. Nac.", "ｶﾙﾃ番号", "age")]
    [True, True, True, False]
    """
    return _folded(column) in _PATIENT_COLUMNS


def _folded(name: str) -> str:
    # Decomposed, accents are characters of their own, which are neither letter nor digit; so are
    # the voicing marks of kana, on both sides of the comparison alike.
    decomposed = unicodedata.normalize("NFKD", name).casefold()
    return "".join(character for character in decomposed if character.isalnum())


_PATIENT_COLUMNS = frozenset(
    _folded(name) for names in (_ENGLISH, _GERMAN, _SPANISH, _JAPANESE) for name in names.split(",")
)
