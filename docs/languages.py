"""Gather the texts that people read into the catalogs of every language.

python docs/languages.py update    take new texts into every catalog, drop those that are gone
python docs/languages.py missing   list what has no translation yet, by language
python docs/languages.py check     exit 1 where a catalog is not complete, or not up to date

Four kinds of text are gathered: what `_`, `_n`, `_p` and `N_` mark in the package, in templates and
in their scripts; sentences that records and tables hold in English and reports quote (context
"recorded"); the sentences of which our errors are made, in the same context; and what the shipped
model bundles say of themselves.
"""

import ast
import json
import re
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po
from error_texts import Code, text_of

from ubereport.core.case import FlagLevel
from ubereport.core.events import Severity
from ubereport.core.frames import FieldShape
from ubereport.core.progress import Stage
from ubereport.core.series import LossReason
from ubereport.language.catalogs import RECORDED, catalog_path, forms, placeholders
from ubereport.language.languages import LANGUAGES
from ubereport.language.scripts import marked_in_script

ROOT = Path(__file__).resolve().parents[1]
KEYWORDS = {"_": None, "_n": (1, 2), "_p": ((1, "c"), 2), "N_": None}
RECORDING_MODULES = (
    "core/disclaimer.py",
    "core/covariates.py",
    "core/held_out.py",
    "analysis/sampling.py",
    "analysis/summaries.py",
    "analysis/views.py",
    "metrics",
    "video/device_check.py",
    "video/devices.py",
    "video/fallback.py",
    "video/index.py",
    "video/reader.py",
    "cohort",
    "statistics",
    "laboratory/evaluation/agreement.py",
    "laboratory/evaluation/annotators.py",
    "laboratory/evaluation/evaluate.py",
    "laboratory/evaluation/load.py",
    "laboratory/evaluation/overlap.py",
    "laboratory/evaluation/recordings.py",
    "laboratory/evaluation/results.py",
    "laboratory/evaluation/stills.py",
    "laboratory/evaluation/summary.py",
)
"""Where sentences are made that a record or a table for machines holds."""
TELLING_MODULES = (
    "laboratory/evaluation/load.py",
    "core/validation.py",
    "batch/estimate.py",
    "batch/parts.py",
    "files/records/listing.py",
    "segmentation/bundle.py",
)
"""Where sentences are made that commands tell beside their errors, one entry each."""
BUNDLE_TEXTS = ("title", "training_population", "limits", "evaluated_on")
SHORT = (
    *("once", "{n} times", "1 gap", "{n} gaps"),
    *("reviewed", "measured"),
    *("negligible", "small", "medium", "large", "exact", "years", "days"),
    *("percentage points lower", "percentage points higher", "lower", "higher"),
    *("Exploratory:", "{test} (asymptotic)"),
    *("{test} (exact)", "{title} (u-chart)", "{title} (XmR chart)", "{n} percentage points"),
    "Technique {name} is not in the list of known ones; kept as it is.",
    *("{quantity} to {quantity2}", "{quantity} of {quantity2}"),
    *("1 percentage point", "1.0 percentage point", "{n} case", "{n} cases", "{n} surgeons"),
)
"""Words inside recorded sentences that are too short to be told from names."""
PARSER = (
    *("No such command {name}.", "Did you mean {near}?", "Did you mean one of: {names}?"),
    *("No such option: {name}", "No such option: {name} (Possible options: {options})"),
    "No such option: {name} Did you mean {near}?",
    *("Missing command.", "Missing argument {name}.", "Missing option {name}."),
    *("Option {name} requires an argument.", "Option {name} does not take a value."),
    *("Got unexpected extra argument(s) ({arguments})", "Invalid value for {name}: {message}"),
    "Value error, {value} is not one of {choices}.",
    "Input should be a valid number, unable to parse string as a number",
    "Input should be a valid integer, unable to parse string as an integer",
    "Input should be greater than or equal to {bound}",
    "Input should be less than or equal to {bound}",
)
"""What the parser of the command line says."""
SYSTEM = (
    *("No such file or directory", "Permission denied", "No space left on device"),
    *("Is a directory", "Not a directory", "Read-only file system", "File name too long"),
    *("Input/output error", "Too many open files", "Disk quota exceeded", "File too large"),
    *(
        "Address already in use",
        "File exists",
        "Invalid data found when processing input",
        "End of file",
    ),
)
"""What systems and FFmpeg say inside our errors."""
BOUNDS = (
    *(
        "above {quantity}",
        "below {quantity}",
        "{quantity} or more",
        "{quantity} to below {quantity2}",
    ),
    *("above {quantity} to {quantity2}", "above {quantity} to below {quantity2}"),
)
"""Bounds of settings, put together of these words."""
PIECES = (
    *("a number", "a finite number", "a whole number", "a table", "a list", "each {allowed}"),
    *("a folder", "a pipe", "a socket", "a device", "Argument {number}", "Change {key}."),
    *("decoding", "disk", "inference", "memory", "printing browser", "processor", "templates"),
    *("{rate} pictures/s", "recommended", "late stages bf16", "{n} files"),
    *("{name} (licence {licence})", "{name} (no licence stated)"),
    *("Minor events", "Moderate events", "Major events"),
    *("1 case.", "{n} cases.", "1 case folder could not be read."),
    "{n} case folders could not be read.",
    *("1 problem", "{n} problems", "1 picture", "{n} pictures"),
)
"""Pieces of errors that are too short to be told from names."""
PLACE = re.compile(r"\{\w+\}")
SENTENCE = re.compile(r"[A-Za-z]{2,}[^A-Za-z].*[a-z]{2,}|^[A-Z][a-z]+$")
NO_TEXT = re.compile(r"^[^ ]*[_/.:,+*0-9][^ ]*$|^[a-z]+(-[a-z]+)*-?$|^[A-Z]+$")
SENTENCE_END = re.compile(r"(?<=[.?])(?:\s+|\{\w+\}(?:\s+(?=[A-Z])|$))")
PLURALS = {"ja": "nplurals=1; plural=0;"}
USUAL_PLURALS = "nplurals=2; plural=(n != 1);"
MEND = (
    "\n  To mend it: python docs/languages.py update, then translate the entries with an empty "
    "msgstr in\n  {path}\n  (docs/languages.md says how; look at it with: ubereport report CASE "
    "--language {code})"
)


def marked() -> Iterator[tuple[str, object, str]]:
    """Yield (file, message or forms, context) of every marked text."""
    for path in sorted((ROOT / "ubereport").rglob("*.py")):
        if path.name != "speaking.py":
            for message, context in marked_in(path.read_text(encoding="utf-8")):
                yield path.relative_to(ROOT).as_posix(), message, context
    for path in sorted((ROOT / "templates").rglob("*.html")):
        found = extract("jinja2.ext:babel_extract", BytesIO(path.read_bytes()), KEYWORDS)
        for _line, message, _comments, context in found:
            yield path.relative_to(ROOT).as_posix(), message, context or ""
    for path in sorted((ROOT / "templates").rglob("*.js")):
        for message in marked_in_script(path.read_text(encoding="utf-8")):
            yield path.relative_to(ROOT).as_posix(), message, ""


def marked_in(source: str) -> Iterator[tuple[object, str]]:
    """Yield (message or forms, context) of the texts that Python marks."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
        if node.func.id in ("_", "N_") and texts:
            yield texts[0], ""
        elif node.func.id == "_n" and len(texts) >= 2:
            yield (texts[0], texts[1]), ""
        elif node.func.id == "_p" and len(texts) == 2:
            yield texts[1], texts[0]


def recorded() -> Iterator[tuple[str, str]]:
    """Yield (file, message with named places) of every sentence that a record may hold."""
    for name in RECORDING_MODULES:
        path = ROOT / "ubereport" / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            for message in sentences(file.read_text(encoding="utf-8")):
                yield file.relative_to(ROOT).as_posix(), message
    for name in TELLING_MODULES:
        for message in sentences((ROOT / "ubereport" / name).read_text(encoding="utf-8")):
            yield from ((f"ubereport/{name}", sentence) for sentence in one_by_one(message))
    for file in sorted((ROOT / "models").glob("*/metadata.json")):
        stated = json.loads(file.read_text(encoding="utf-8"))
        for key in BUNDLE_TEXTS:
            if stated.get(key):
                yield file.relative_to(ROOT).as_posix(), stated[key].strip()
    yield from error_sentences()
    yield from chosen_words()
    for message in (*SHORT, *SYSTEM, *PARSER, *BOUNDS, *PIECES):
        yield "docs/languages.py", message


def error_sentences() -> Iterator[tuple[str, str]]:
    """Yield (file, sentence) of what our errors may say, one sentence each.

    An error's text is followed to where it is written: names to what is assigned to them,
    parameters to the calls, calls to what the function returns.
    """
    code = Code.read()
    for scope, call in code.error_calls():
        for text in sorted(code.texts_of(scope, call)):
            yield from ((scope.file, sentence) for sentence in one_by_one(text))


def one_by_one(text: str) -> Iterator[str]:
    """Yield the sentences of a text of which there is something to read."""
    for piece in SENTENCE_END.split(text):
        sentence = piece.strip(";, ")
        if is_sentence(sentence):
            yield sentence


def chosen_words() -> Iterator[tuple[str, str]]:
    """Yield (room, word) of every choice that a person reads."""
    for words in [*Severity, *LossReason, *FieldShape]:
        plain = str(words).replace("_", " ")
        if plain and plain != "none":
            yield "ubereport/core", plain
            yield "ubereport/core", plain.capitalize()
    for word in [*Stage, *FlagLevel]:
        yield "ubereport/core", str(word)


def sentences(source: str) -> list[str]:
    """Return what `source` says in English outside of docstrings and errors for programmers."""
    tree = ast.parse(source)
    skipped = {id(node) for top in ast.walk(tree) for node in left_out(top)}
    found = []
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        message = text_of(node)
        if is_sentence(message):
            found.append(message)
    return found


def is_sentence(message: str) -> bool:
    """Whether a string holds words that a person reads."""
    words = PLACE.sub("", message)
    return SENTENCE.search(words) is not None and not NO_TEXT.match(message)


def left_out(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the strings below `node` that are no sentences of a record."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield from (value for value in node.values if isinstance(value, ast.Constant))
    elif isinstance(node, ast.FormattedValue) and node.format_spec is not None:
        yield from ast.walk(node.format_spec)
    elif isinstance(node, ast.Raise) or is_marked(node):
        yield from ast.walk(node)
    elif isinstance(node, ast.Dict):
        yield from (key for key in node.keys if key is not None)
    elif isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
        yield from ast.walk(node.annotation)


def is_marked(node: ast.AST) -> bool:
    """Whether `node` is a call that marks its text already, or makes an error."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return False
    return node.func.id in KEYWORDS or node.func.id.endswith("Error")


def template() -> Catalog:
    """Return a catalog of every message, without translations."""
    catalog = Catalog(project="ubereport", charset="utf-8", fuzzy=False)
    for file, message, context in marked():
        catalog.add(message, locations=[(file, 0)], context=context or None)
    for file, message in recorded():
        catalog.add(message, locations=[(file, 0)], context=RECORDED)
    return catalog


def read(code: str) -> Catalog:
    path = catalog_path(next(language for language in LANGUAGES if language.code == code))
    if not path.is_file():
        return Catalog(locale=code, project="ubereport", fuzzy=False)
    with path.open("rb") as file:
        return read_po(file)


def update() -> None:
    """Bring every catalog up to date with the texts in the source."""
    for language in LANGUAGES[1:]:
        catalog = read(language.code)
        before = {skeleton(m): m for m in catalog if isinstance(m.id, str) and m.string}
        # A template of its own: a catalog takes over the entries that it is given.
        catalog.update(template(), no_fuzzy_matching=True, update_creation_date=False)
        for message in catalog:
            if isinstance(message.id, str) and message.id and not message.string:
                message.string = renamed(before.get(skeleton(message)), message.id)
        write(catalog, language.code)


def skeleton(message: Message) -> tuple[str, str]:
    """Return context and text of an entry without the names of its places."""
    return message.context or "", PLACE.sub("{}", str(message.id))


def renamed(before: Message | None, text: str) -> str:
    """Return the translation of a text in which places alone have other names now, else nothing."""
    if before is None:
        return ""
    names = dict(zip(PLACE.findall(before.id), PLACE.findall(text), strict=True))
    return PLACE.sub(lambda match: names.get(match[0], match[0]), before.string)


def write(catalog: Catalog, code: str) -> None:
    """Write a catalog as it is kept: without times, line numbers and what is gone."""
    plural_forms = PLURALS.get(code, USUAL_PLURALS)
    kept = Catalog(project="ubereport", fuzzy=False, charset="utf-8")
    kept.mime_headers = [("Plural-Forms", plural_forms)]
    for message in sorted(
        (m for m in catalog if m.id), key=lambda m: (m.context or "", str(forms(m.id)[0]))
    ):
        if message.pluralizable:
            message.string = (*forms(message.string), "")[: n_plurals(code)]
        kept[message.id] = message
    buffer = BytesIO()
    write_po(buffer, kept, width=100, ignore_obsolete=True, include_lineno=False, omit_header=True)
    head = (
        f"# Translations of ubereport: {code}. Edit this file; docs/languages.md says how.\n"
        'msgid ""\nmsgstr ""\n'
        '"Content-Type: text/plain; charset=utf-8\\n"\n'
        '"Content-Transfer-Encoding: 8bit\\n"\n'
        f'"Language: {code}\\n"\n'
        f'"Plural-Forms: {plural_forms}\\n"\n\n'
    )
    path = catalog_path(next(language for language in LANGUAGES if language.code == code))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head.encode() + buffer.getvalue())


def problems(code: str, gathered: Catalog | None = None) -> list[str]:
    """Return what is wrong with the catalog of a language, one line each."""
    gathered = template() if gathered is None else gathered
    catalog = read(code)
    wanted = {(m.context or "", str(forms(m.id)[0])): m for m in gathered if m.id}
    found = {(m.context or "", str(forms(m.id)[0])): m for m in catalog if m.id}
    lines = [f"new text without an entry: {key[1]!r}" for key in wanted.keys() - found.keys()]
    lines += [f"stale entry, its text is gone: {key[1]!r}" for key in found.keys() - wanted.keys()]
    for (_context, text), message in found.items():
        texts = [t for t in forms(message.string) if t]
        if message.fuzzy:
            lines.append(f"fuzzy: {text!r}")
        elif len(texts) < (n_plurals(code) if message.pluralizable else 1):
            lines.append(f"not translated: {text!r}")
        elif not all(fits(t, message) for t in texts):
            lines.append(f"other placeholders than the English text: {text!r} → {texts}")
    return sorted(lines)


def n_plurals(code: str) -> int:
    return int(PLURALS.get(code, USUAL_PLURALS)[len("nplurals=")])


def fits(text: str, message: object) -> bool:
    """Whether a text names the places of the English one; a plural form may leave out the count."""
    wanted, named = placeholders(forms(message.id)[-1]), placeholders(text)
    return named <= wanted and wanted - named <= ({"n"} if message.pluralizable else set())


def complaint(code: str, lines: list[str]) -> str:
    """Return what a failing check says: the first of the problems, and how to mend them."""
    path = f"ubereport/language/catalogs/{code}/LC_MESSAGES/ubereport.po"
    shown = "\n  ".join(lines[:20])
    more = f"\n  … and {len(lines) - 20} more" if len(lines) > 20 else ""
    return f"{code}: {len(lines)} problem(s)\n  {shown}{more}{MEND.format(path=path, code=code)}"


def main(action: str) -> int:
    if action == "update":
        update()
        return 0
    gathered = template()
    n_problems = 0
    for language in LANGUAGES[1:]:
        lines = problems(language.code, gathered)
        n_problems += len(lines)
        if lines:
            print(complaint(language.code, lines))
    return int(action == "check" and n_problems > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "check"))
