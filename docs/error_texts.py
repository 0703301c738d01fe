"""What our errors may say: each text is followed from where it is raised to where it is written.

Names are followed to what is assigned to them, parameters to the calls, calls to what the function
returns; expressions inside an f-string become named places.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ubereport.core import errors

ROOT = Path(__file__).resolve().parents[1]
ERRORS = {name for name in vars(errors) if name.endswith("Error")} | {"DeviceLostError"}
ERROR_PARTS = {"check_setting", "Fault", "Problem", "ChildFailure", "Finding", "validated"}
"""Calls that make a part of an error's text: a fault of a setting, of a cell, of a process."""
QUOTED_VALUE_ERRORS = ("core/clock_times.py", "cohort/device.py")
"""Files whose ValueErrors our errors quote."""
MAX_HOPS = 2
"""How far a text of an error is followed from where it is raised."""


@dataclass(frozen=True)
class Scope:
    """A function of a file, or the file outside of its functions."""

    file: str
    function: ast.FunctionDef | None = None


class Code:
    """The package's syntax trees, and where in them a name gets its value."""

    def __init__(self, trees: dict[str, ast.Module]) -> None:
        self.calls: dict[str, list[tuple[Scope, ast.Call]]] = {}
        self.assigned: dict[tuple[Scope, str], list[ast.expr]] = {}
        self.functions: dict[tuple[str, str], list[Scope]] = {}
        self.found: dict[tuple[int, int], list[str]] = {}
        for file, tree in trees.items():
            self._enter(tree, Scope(file))

    @classmethod
    def read(cls) -> "Code":
        """Parse the package."""
        paths = sorted((ROOT / "ubereport").rglob("*.py"))
        return cls(
            {
                path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
                for path in paths
            }
        )

    def _enter(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, ast.FunctionDef):
            scope = Scope(scope.file, node)
            self.functions.setdefault((scope.file, node.name), []).append(scope)
        elif isinstance(node, ast.Call):
            self.calls.setdefault(called(node), []).append((scope, node))
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    self.assigned.setdefault((scope, target.id), []).append(node.value)
        for child in ast.iter_child_nodes(node):
            self._enter(child, scope)

    def error_calls(self) -> Iterator[tuple[Scope, ast.Call]]:
        """Yield (scope, call) of all that makes one of our errors or a part of its text."""
        for name in sorted(ERRORS | ERROR_PARTS):
            yield from self.calls.get(name, [])
        quoted = (f"ubereport/{file}" for file in QUOTED_VALUE_ERRORS)
        for file in quoted:
            yield from (pair for pair in self.calls["ValueError"] if pair[0].file == file)

    def texts_of(self, scope: Scope, call: ast.Call) -> set[str]:
        """Return every text, with named places, that may stand in an error made by `call`."""
        arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
        return {text for node in arguments for text in self._texts(scope, node, MAX_HOPS)}

    def _texts(self, scope: Scope, node: ast.AST, n_hops: int) -> list[str]:
        key = (id(node), n_hops)
        if key not in self.found:
            self.found[key] = sorted(set(self._looked_up(scope, node, n_hops)))
        return self.found[key]

    def _looked_up(self, scope: Scope, node: ast.AST, n_hops: int) -> Iterator[str]:
        text = text_of(node)
        if text:
            yield text
        if n_hops:
            for where, value in self._values(scope, node):
                yield from self._texts(where, value, n_hops - 1)
        for child in ast.iter_child_nodes(node):
            is_piece = isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)
            is_format = isinstance(node, ast.FormattedValue) and child is node.format_spec
            if not (is_piece or is_format or isinstance(node, ast.Subscript | ast.Compare)):
                yield from self._texts(scope, child, n_hops)

    def _values(self, scope: Scope, node: ast.AST) -> Iterator[tuple[Scope, ast.expr]]:
        """Yield what a name or a call of the same file may stand for."""
        if isinstance(node, ast.Name):
            places = [scope, Scope(scope.file)]
            if node.id.isupper():  # a constant, maybe of another file
                places = [where for where, name in self.assigned if name == node.id]
            for where in places:
                yield from ((where, value) for value in self.assigned.get((where, node.id), []))
            yield from self._arguments(scope, node.id)
        elif isinstance(node, ast.Call):
            for where in self.functions.get((scope.file, called(node)), []):
                for each in ast.walk(where.function):
                    if isinstance(each, ast.Return) and each.value is not None:
                        yield where, each.value

    def _arguments(self, scope: Scope, parameter: str) -> Iterator[tuple[Scope, ast.expr]]:
        """Yield what calls hand to the parameter of the function whose body `scope` is."""
        if scope.function is None:
            return
        arguments = scope.function.args
        names = [a.arg for a in arguments.args if a.arg not in ("self", "cls")]
        names += [a.arg for a in arguments.kwonlyargs]
        if parameter not in names:
            return
        at = names.index(parameter)
        for where, call in self.calls.get(scope.function.name, []):
            if at < len(call.args):
                yield where, call.args[at]
            yield from ((where, k.value) for k in call.keywords if k.arg == parameter)


def called(call: ast.Call) -> str:
    """Return the last name of what is called."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def text_of(node: ast.AST) -> str:
    """Return a string or f-string as a message; its expressions become named places."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.strip()
    if not isinstance(node, ast.JoinedStr):
        return ""
    named: dict[str, str] = {}
    message = ""
    for value in node.values:
        if isinstance(value, ast.Constant):
            message += str(value.value)
        elif isinstance(value, ast.FormattedValue):
            message += "{" + place(value.value, named) + "}"
    return message.strip()


def place(expression: ast.expr, named: dict[str, str]) -> str:
    """Return a name for what an f-string puts in; the same expression keeps its name."""
    source = ast.unparse(expression)
    if source not in named:
        words = re.findall(r"[A-Za-z_]\w*", re.sub(r"'[^']*'", "", source)) or ["value"]
        name = words[-1].strip("_") or "value"
        taken = set(named.values())
        number = 2
        while name in taken:
            name = f"{name.rstrip('0123456789')}{number}"
            number += 1
        named[source] = name
    return named[source]
