"""Comparison and audit in every language: no English left, files for machines alike."""

import re
from collections import Counter

import pytest
from language.gathering import MARK, pseudo_translator
from language.test_case_report import PLAIN, texts
from made_up_library import add_case, make_library

from ubereport.cohort.compare import compare_cohort
from ubereport.cohort.table import read_cohort
from ubereport.core.choices import PdfChoice
from ubereport.core.config import AuditConfig, CompareConfig
from ubereport.documents.cohort.comparison_document import comparison_document
from ubereport.documents.cohort.reports import (
    AuditRequest,
    CompareRequest,
    run_audit,
    run_comparison,
)
from ubereport.documents.page.document import told_document
from ubereport.language.languages import find_language
from ubereport.language.speaking import speaking, told
from ubereport.language.translator import translator

GROUPS = {
    "Bone wax": [0.010, 0.021, 0.032, 0.043, 0.054, 0.065],
    "RF": [0.110, 0.121, 0.132, 0.143, 0.154, 0.165],
}
NAME = re.compile(
    r"ubereport( [\d.]+)?|C-\d+|S\d|(Bone wax|RF)( − (Bone wax|RF))?|ULBD|ube-blood [\d.]+|"
    r"[0-9a-f]{10}|no patients|Made up\.|\(n = \d+\)"
)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    root = tmp_path_factory.mktemp("department") / "library"
    make_library(root, GROUPS)
    return root


@pytest.fixture(scope="module")
def written(library):
    def write(language, name):
        config = CompareConfig(n_bootstrap=100, n_permutations=100)
        out = library.parent / name
        with speaking(language):
            _, comparison = run_comparison(
                CompareRequest(
                    library, out / "comparison", "technique", config, reference="RF",
                    pdf=PdfChoice.NEVER,
                )
            )  # fmt: skip
            _, audit = run_audit(
                AuditRequest(library, out / "audit", AuditConfig(), PdfChoice.NEVER)
            )
        return comparison, audit

    return write


def test_no_text_of_the_pseudo_language_is_english(written):
    for document in written(pseudo_translator(), "pseudo"):
        found = texts(document.html.read_text(encoding="utf-8"))
        left = [t for t in found if not (MARK in t or PLAIN.fullmatch(t) or NAME.fullmatch(t))]
        assert left == [], (
            "Not marked for translation: see “New or changed English texts” in "
            f"docs/languages.md. {left}"
        )


def test_files_for_machines_are_the_same_in_every_language(written):
    kept = None
    for code in ("en", "de", "ja"):
        documents = written(translator(find_language(code)), code)
        for document in documents:
            assert f'<html lang="{code}">' in document.html.read_text(encoding="utf-8")
        found = {
            path.name: path.read_bytes()
            for document in documents
            for path in document.folder.iterdir()
            if path.suffix != ".html"
        }
        kept = found if kept is None else kept
        assert found == kept
    assert {"comparison.json", "audit.json", "contrasts.csv", "charts.csv"} <= set(kept)


def test_dates_are_written_as_the_language_does(written):
    for code, is_iso in (("en", True), ("de", False), ("ja", False)):
        _, audit = written(translator(find_language(code)), f"dates-{code}")
        page = " ".join(texts(audit.html.read_text(encoding="utf-8")))
        assert bool(re.search(r"2026-\d\d", page)) is is_iso


def test_names_that_equal_a_message_are_not_translated(tmp_path, written):
    """Each is a word of the catalogs, alone or as a case id, a surgeon, a procedure."""
    names = ("Small", "Percentage points higher", "Large", "Moderate", "Exact", "Higher", "Years")
    with speaking(translator(find_language("de"))):
        assert [name for name in names if told(name) == name] == []
    library = tmp_path / "library"
    for number in range(24):
        group = number % 2
        manifest = {
            "date": f"2026-01-{1 + number:02d}", "technique": names[group], "use_start": "0",
            "surgeon": names[2 + number % 3], "procedure": names[5 + number % 2],
        }  # fmt: skip
        add_case(library, number, 0.02 + 0.1 * group + 0.001 * number, manifest)
    found = {}
    for code in ("en", "de"):
        config = CompareConfig(n_bootstrap=100, n_permutations=100)
        out = tmp_path / code
        with speaking(translator(find_language(code))):
            _, comparison = run_comparison(
                CompareRequest(
                    library, out / "comparison", "technique", config, pdf=PdfChoice.NEVER
                )
            )
            _, audit = run_audit(
                AuditRequest(library, out / "audit", AuditConfig(), PdfChoice.NEVER)
            )
        pages = (document.html.read_text(encoding="utf-8") for document in (comparison, audit))
        found[code] = Counter(text for page in pages for text in texts(page) if text in names)
    assert found["de"] == found["en"]
    assert set(found["en"]) == set(names)


@pytest.mark.parametrize("surgeons", [("S1", "S2"), ("S1", "S1")])
def test_the_first_page_of_a_comparison_is_no_mixture(tmp_path, surgeons):
    for number in range(12):
        place = number % 2
        manifest = {
            "surgeon": surgeons[place], "technique": ("Bone wax", "RF")[place], "levels": place,
        }  # fmt: skip
        add_case(
            tmp_path, number, 0.02 + 0.1 * place + 0.001 * number, manifest, clear_s=(-40.0, -100.0)
        )
    config = CompareConfig(n_bootstrap=100, n_permutations=100)
    comparison = compare_cohort(read_cohort(tmp_path), "technique", config)

    def first_page(code):
        with speaking(translator(find_language(code))):
            document = told_document(comparison_document(comparison, config))
        return " ".join((*document.lead, *document.sections[0].paragraphs))

    def runs(text):
        words = re.findall(r"[A-Za-z]+", text)
        return {" ".join(words[k : k + 3]) for k in range(len(words) - 2)}

    names = {"Bone wax and", "wax and RF", "of events with", "RF and Bone", "and Bone wax"}
    assert len(runs(first_page("en"))) > 30
    for code in ("ja", "de", "es"):
        assert runs(first_page("en")) & runs(first_page(code)) <= names
