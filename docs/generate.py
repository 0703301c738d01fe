"""Write the reference and the published schemas from code. `make docs` runs it.

python docs/generate.py            write docs/reference and the schemas in ubereport
python docs/generate.py --check    exit 1 if a page or schema is not what the code says
"""

import dataclasses
import inspect
import json
import sys
from pathlib import Path

import typer
from manifest_schema import SCHEMA_NAME, manifest_schema_json

import ubereport
from ubereport.cli.main import app
from ubereport.core import config
from ubereport.core.validation import json_schema
from ubereport.files.records.schema import case_schema
from ubereport.metrics.registry import METRICS

REFERENCE = Path(__file__).parent / "reference"
PACKAGE = Path(ubereport.__file__).parent
MADE = "<!-- Written by docs/generate.py; change the code and run `make docs`. -->\n\n"


def cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


def table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines) + "\n\n"


def leaves(command, path: str):
    """Return every command that does something, with its full name."""
    below = getattr(command, "commands", None)
    if not below:
        return [(path, command)]
    return [found for name in below for found in leaves(below[name], f"{path} {name}")]


def default_text(parameter) -> str:
    default = parameter.default
    if parameter.required:
        return "needed"
    if default is None or default is False or callable(default) or str(default) == "":
        return ""
    # An option that may be given several times has a list of defaults.
    values = default if isinstance(default, list | tuple) else [default]
    return f"`{' '.join(map(str, values))}`"


def option_row(parameter) -> tuple[str, str, str]:
    names = [*parameter.opts, *parameter.secondary_opts]
    is_option = any(name.startswith("-") for name in names)
    shown = " / ".join(f"`{name}`" for name in names) if is_option else f"`{parameter.name}`"
    choices = getattr(parameter.bare_type, "__members__", {}).values()
    allowed = f" One of {', '.join(choices)}." if choices else ""
    return shown, (parameter.help or "") + allowed, default_text(parameter)


def commands() -> str:
    text = f"# Commands\n\n{MADE}"
    text += "Every command takes `--help`. What `--config` may hold: [Settings](settings.md).\n\n"
    for path, command in leaves(typer.main.get_command(app), "ubereport"):
        about, _, example = inspect.cleandoc(command.help or "").partition("Example:")
        text += f"## {path}\n\n{about.strip()}\n\n"
        if example:
            text += f"```console\n{' '.join(example.split()).removesuffix('.')}\n```\n\n"
        rows = [option_row(p) for p in command.params if p.name != "help"]
        text += table(("Argument or option", "What it does", "Default"), rows) if rows else ""
    return text.rstrip() + "\n"


def bounds(schema: dict) -> str:
    """Return what a value may be, in words."""
    if "anyOf" in schema:
        return " or ".join(bounds(choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[key]:.10g}" for key, sign in signs.items() if key in schema]
    kinds = {
        "null": "nothing",
        "boolean": "true or false",
        "integer": "whole number",
        "string": "text",
        "array": "list",
    }
    kind = kinds.get(schema.get("type", ""), schema.get("type", ""))
    return ", ".join([kind, *limits])


def resolved(schema: dict, definitions: dict) -> dict:
    name = schema.get("$ref", "").rpartition("/")[2]
    merged = {**definitions[name], **schema} if name else dict(schema)
    if "anyOf" in merged:
        merged["anyOf"] = [resolved(choice, definitions) for choice in merged["anyOf"]]
    return merged


def section(title: str, settings_class: type, schema: dict, definitions: dict) -> str:
    about = inspect.getdoc(settings_class) or ""
    rows = []
    for name, field in resolved(schema, definitions)["properties"].items():
        found = resolved(field, definitions)
        default = f"`{found['default']}`" if "default" in found else ""
        rows.append((f"`{name}`", bounds(found), default))
    return f"## {title}\n\n{about}\n\n" + table(("Key", "Allowed", "Default"), rows)


def settings() -> str:
    text = f"# Settings\n\n{MADE}"
    text += (
        "`ubereport analyze` and `ubereport batch` read these sections from the file that "
        "`--config` names; what it leaves out has the default. An unknown key or a value out of "
        "range is refused in one sentence. A case's record keeps all of them.\n\n"
    )
    schema = json_schema(config.AnalysisConfig)
    definitions = schema.get("$defs", {})
    for field in dataclasses.fields(config.AnalysisConfig):
        kind = type(getattr(config.AnalysisConfig(), field.name))
        text += section(f"[{field.name}]", kind, schema["properties"][field.name], definitions)
    for name in ("CompareConfig", "AuditConfig"):
        own = json_schema(getattr(config, name))
        title = name.removesuffix("Config").lower()
        text += section(f"{title} (from Python)", getattr(config, name), own, own.get("$defs", {}))
    return text.rstrip() + "\n"


def metrics() -> str:
    text = f"# Numbers of a case\n\n{MADE}"
    text += (
        "Each number stands in `case.json`, among `metrics`, under its key, with its unit (UCUM; "
        "1 for a fraction or a count), how many samples it rests on and the coverage. A number "
        "without data is missing and has a reason; it is never zero. Shares are of evaluable "
        "time.\n\n"
    )
    for metric in METRICS:
        spec = metric.spec
        text += f"## {spec.title}\n\n{spec.definition.rstrip('.')}.\n\n"
        text += f"Key `{spec.key}` · unit {spec.unit} · {str(spec.direction).replace('_', ' ')}\n\n"
    return text.rstrip() + "\n"


def case_schema_json() -> str:
    return json.dumps(case_schema(), indent=1, ensure_ascii=False) + "\n"


PAGES = {
    REFERENCE / "commands.md": commands,
    REFERENCE / "settings.md": settings,
    REFERENCE / "metrics.md": metrics,
    PACKAGE / "files" / "records" / "case.schema.json": case_schema_json,
    PACKAGE / "batch" / SCHEMA_NAME: manifest_schema_json,
}


def main(arguments: list[str]) -> int:
    stale = [
        page
        for page, write in PAGES.items()
        if not page.is_file() or page.read_text(encoding="utf-8") != write()
    ]
    if "--check" in arguments:
        names = ", ".join(page.name for page in stale)
        print(f"not fresh: {names}; run `make docs`" if stale else "fresh")
        return int(bool(stale))
    for page in stale:
        page.write_text(PAGES[page](), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
