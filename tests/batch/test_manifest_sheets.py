"""Files of a manifest that are damaged, or that other programs write in their own way."""

import random
import zipfile
from decimal import Decimal

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ubereport.batch import manifest_sheets
from ubereport.batch.manifest_sheets import read_sheet
from ubereport.cli.main import main
from ubereport.core.errors import ManifestError

SHEET = "xl/worksheets/sheet1.xml"
ROWS = (
    ("case_id", "files", "technique", "levels"),
    ("C1", "a.mp4", "bone wax", 1),
    ("C2", "b.mp4", "drain", 2),
    ("C3", "c.mp4", "drain", 3),
)


@pytest.fixture
def xlsx(tmp_path):
    """Write ROWS as a workbook; return its path."""
    book = openpyxl.Workbook()
    for row in ROWS:
        book.active.append(row)
    path = tmp_path / "cases.xlsx"
    book.save(path)
    return path


def edited(path, name, edit, compression=zipfile.ZIP_DEFLATED):
    """Write the workbook anew with one of its members changed."""
    with zipfile.ZipFile(path) as old:
        members = {each: old.read(each) for each in old.namelist()}
    members[name] = edit(members[name])
    with zipfile.ZipFile(path, "w", compression) as new:
        for each, content in members.items():
            new.writestr(each, content)


def with_dimension(path, dimension):
    before = b'<dimension ref="A1:D4" />'

    def edit(sheet):
        assert sheet.count(before) == 1
        return sheet.replace(before, dimension)

    edited(path, SHEET, edit)


def refusal(path):
    with pytest.raises(ManifestError) as refused:
        read_sheet(path)
    return str(refused.value)


def cells_of(sheet):
    return tuple(tuple(row.values()) for _number, row in sheet.rows())


@pytest.mark.parametrize(
    "dimension",
    [b'<dimension ref="A1:D2" />', b'<dimension ref="A1" />', b'<dimension ref="C3:D9" />', b""],
)
def test_every_row_is_read_whatever_size_the_file_states(xlsx, dimension):
    with_dimension(xlsx, dimension)
    sheet = read_sheet(xlsx)
    assert sheet.columns == ROWS[0]
    assert cells_of(sheet) == ROWS[1:]


def more_rows(path, rows):
    edited(path, SHEET, lambda sheet: sheet.replace(b"</sheetData>", rows + b"</sheetData>"))


def test_empty_rows_and_columns_around_the_cases_are_no_cases(xlsx):
    # Formatted to the last line and the last column, as a spreadsheet does to a marked sheet.
    more_rows(
        xlsx,
        b"".join(b'<row r="%d"><c r="A%d" s="0"/></row>' % (r, r) for r in range(5, 300))
        + b'<row r="1048576"><c r="A1048576" s="0"/><c r="XFD1048576" s="0"/></row>',
    )
    sheet = read_sheet(xlsx)
    assert (sheet.columns, len(sheet.cells)) == (ROWS[0], 3)


def test_an_empty_row_between_cases_keeps_the_numbers_of_rows(xlsx):
    more_rows(xlsx, b'<row r="9"><c r="A9" t="inlineStr"><is><t>C9</t></is></c></row>')
    *_, (number, cells) = read_sheet(xlsx).rows()
    assert (number, cells["case_id"], cells["levels"]) == (9, "C9", None)


def test_a_case_at_the_end_of_the_sheet_is_refused_before_rows_are_made_up(xlsx, monkeypatch):
    more_rows(xlsx, b'<row r="1048576"><c r="A1048576" t="inlineStr"><is><t>C9</t></is></c></row>')
    monkeypatch.setattr(manifest_sheets, "_sheet", lambda rows: pytest.fail("made up"))
    assert "over 100000 rows" in refusal(xlsx)


def test_xml_that_ends_or_breaks_is_refused(xlsx):
    edited(xlsx, SHEET, lambda sheet: sheet[: len(sheet) // 2])
    assert "no sound XLSX file (ParseError)" in refusal(xlsx)


def test_styles_that_break_are_refused(xlsx):
    edited(xlsx, "xl/styles.xml", lambda styles: styles.replace(b"<fonts", b"<fonts<"))
    assert "no sound XLSX file" in refusal(xlsx)


def test_a_workbook_without_its_sheet_is_refused(xlsx):
    edited(xlsx, "xl/_rels/workbook.xml.rels", lambda text: text.replace(b"sheet1", b"sheet7"))
    assert "no sound XLSX file" in refusal(xlsx)


def test_one_flipped_byte_is_refused_or_does_no_harm(xlsx):
    sound, whole = xlsx.read_bytes(), read_sheet(xlsx)
    drawn = random.Random(20261130)
    said = set()
    for _ in range(150):
        damaged = bytearray(sound)
        damaged[drawn.randrange(len(damaged))] ^= 1 << drawn.randrange(8)
        xlsx.write_bytes(damaged)
        try:
            assert read_sheet(xlsx) == whole
        except ManifestError as error:
            said.add(str(error).partition("(")[0])
    assert said == {"The manifest is no sound XLSX file "}


def test_a_compressed_sheet_with_a_damaged_stream_is_refused(xlsx):
    with zipfile.ZipFile(xlsx) as book:
        at = book.getinfo(SHEET).header_offset + 30 + len(SHEET)
    content = bytearray(xlsx.read_bytes())
    content[at] = 0xFF  # a block of deflate of the type that does not exist
    xlsx.write_bytes(content)
    assert "no sound XLSX file (error)" in refusal(xlsx)


OPEN_QUOTE = 'case_id,files,technique\nC1,a.mp4,"bone wax\n'


@pytest.mark.parametrize("n_rows", [3, 20_000])
def test_a_quotation_mark_that_is_never_closed_loses_no_case_in_silence(tmp_path, n_rows):
    path = tmp_path / "cases.csv"
    path.write_text(OPEN_QUOTE + "".join(f"C{i},b.mp4,drain\n" for i in range(n_rows)))
    assert refusal(path).startswith("Row 2 of the manifest is no sound CSV: a quotation mark")


def test_quotation_marks_that_are_closed_are_read(tmp_path):
    path = tmp_path / "cases.csv"
    path.write_text('case_id,files,note\nC1,a.mp4,"two\nlines, one cell"\nC2,b.mp4,"end"')
    assert cells_of(read_sheet(path)) == (
        ("C1", "a.mp4", "two\nlines, one cell"),
        ("C2", "b.mp4", "end"),
    )


def test_a_quotation_mark_that_opens_at_the_very_end_is_told(tmp_path):
    path = tmp_path / "cases.csv"
    path.write_text('case_id,files\nC1,a.mp4\n"')
    assert refusal(path).startswith("Row 3 of the manifest is no sound CSV")


@pytest.mark.parametrize("name", ["cases.csv", "cases.xlsx"])
def test_the_command_refuses_a_damaged_manifest_as_wrong_use(xlsx, capsys, name):
    path = xlsx.with_name(name)
    if name == "cases.csv":
        path.write_text(OPEN_QUOTE + "x" * 200_000)
    else:
        edited(path, SHEET, lambda sheet: sheet + b"<")
    with pytest.raises(SystemExit) as end:
        main(["batch", str(path), "--check"])
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert "bug" not in said
    assert len(said.strip().splitlines()) == 1


def test_decimals_of_a_parquet_file_are_numbers(tmp_path):
    amounts = pa.array([Decimal("1.200"), Decimal("-0.001")], pa.decimal128(10, 3))
    counts = pa.array([Decimal(1200), None], pa.decimal128(10, 0))
    pq.write_table(pa.table({"amount": amounts, "count": counts}), tmp_path / "cases.parquet")
    assert cells_of(read_sheet(tmp_path / "cases.parquet")) == ((1.2, 1200), (-0.001, None))
