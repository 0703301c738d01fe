"""What the parser of a command line refuses is told in the reader's language."""

import pytest

from ubereport.cli.main import main

# Every kind of refusal, with the English words that must not be left.
REFUSED = {
    "analyse x": "No such command Did you mean",
    "analyze --ot x": "No such option Possible options",
    "analyze": "Missing argument",
    "compare x --out y": "Missing option",
    "analyze --out": "Option requires an argument",
    "analyze a --out b --json=1": "Option does not take a value",
    "models verify a b": "Got unexpected extra argument",
    "analyze a --out b --rate quick": "Invalid value for Input should be",
    "batch m --library x --jobs many": "Invalid value for Input should be",
    "batch m --library x --jobs 0": "Invalid value for Input should be greater than",
    "batch m --library x --jobs 999": "Invalid value for Input should be less than",
    "analyze a --out b --pdf maybe": "Invalid value for Value error is not one of",
}


def refusal(capsys, *argv):
    with pytest.raises(SystemExit) as end:
        main(list(argv))
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    return err


@pytest.mark.parametrize("line", REFUSED)
@pytest.mark.parametrize("tag", ["ja", "de", "es"])
def test_no_english_is_left_but_what_is_typed(capsys, monkeypatch, line, tag):
    monkeypatch.setenv("UBEREPORT_LANGUAGE", tag)
    told = refusal(capsys, *line.split())
    sentence = told.strip().splitlines()[-1]
    assert sentence.startswith("ubereport: ")
    # Words that other languages have, too.
    assert not (set(REFUSED[line].split()) - {"No", "Option"}) & set(sentence.split())
    assert "Usage" not in told
    assert "Error:" not in told


@pytest.mark.parametrize("line", REFUSED)
def test_english_stays_as_typer_shows_it(capsys, monkeypatch, line):
    monkeypatch.setenv("UBEREPORT_LANGUAGE", "en")
    told = refusal(capsys, *line.split())
    assert "Error: " in told
    words = "".join(letter if letter.isalpha() else " " for letter in told).split()
    assert set(REFUSED[line].split()) <= set(words)


def test_the_language_is_that_of_the_refused_line_itself(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("UBEREPORT_LANGUAGE", "es")
    assert "Eine Option --ot gibt es nicht" in refusal(capsys, "analyze", "--language=de", "--ot")
    assert "引数" in refusal(capsys, "analyze", "--language", "ja")
    assert "Missing argument" in refusal(capsys, "analyze", "--language", "klingon")
    settings = tmp_path / "settings.toml"
    settings.write_text('language = "de"\n')
    assert "Es fehlt" in refusal(capsys, "analyze", "--config", str(settings))
