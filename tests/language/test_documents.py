"""Comparison and audit in every language: no English left, files for machines alike."""

import re

import pytest
from language.gathering import MARK, pseudo_translator
from language.test_case_report import PLAIN, texts
from made_up_library import add_case, make_library

from ubereport.cohort.compare import compare_cohort
from ubereport.cohort.table import read_cohort
from ubereport.core.choices import PdfChoice
from ubereport.core.config import AuditConfig, CompareConfig
from ubereport.documents.audit import AuditRequest, run_audit
from ubereport.documents.comparison import CompareRequest, run_comparison
from ubereport.documents.comparison_document import comparison_document
from ubereport.language.languages import find_language
from ubereport.language.speaking import speaking
from ubereport.language.translator import translator
from ubereport.report.document import told_document

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
