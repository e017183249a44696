"""Files: what a name means at file level; imports; the library, whose definitions are parsed when first named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from zhdsl.errors import Diagnostic, SpecError
from zhdsl.lang import ast
from zhdsl.lang.bounds import bounded
from zhdsl.lang.elaborator import Elaborator
from zhdsl.lang.expressions import MISSING, evaluate
from zhdsl.lang.nearest import nearest
from zhdsl.lang.parser import parse
from zhdsl.lang.problem import LibraryText, Poisoned, Problem
from zhdsl.lang.reading import read
from zhdsl.lang.scope import Scope
from zhdsl.lang.values import POISON, DatasetRef, Instance, Namespace, Template, is_number, is_static, kind_of
from zhdsl.source import Source, Span

MAX_INCLUDES = 16  # files that import files
MAX_CONSTS = 100  # that wait for another's value
MAX_FILES = 200
MAX_CHARACTERS = 4_000_000  # of all imported files
BUSY = object()
ITEM = re.compile(r"^(?:@\w+.*\n)*(?:fn|block|dataset|const)\s+([A-Za-z_]\w*'*)", re.M)


class File:
    """One file of definitions: its own items, what it imports, and then the library."""

    is_library = False

    def __init__(self, source: Source, folder: Path | None, root: Path | None, overrides: Mapping[str, Any]):
        self.source = source
        self.folder = folder
        self.root = root or folder
        self.overrides = dict(overrides)
        self.items: dict[str, ast.Item] = {}
        self.consts: dict[str, ast.Bind] = {}
        self.values: dict[str, Any] = {}
        self.uses: list[File] = []
        self.named: dict[str, File] = {}
        self.broken: set[str] = set()  # names whose definition is wrong and reported; they poison what uses them
        self.incomplete = False  # names may be missing: an import failed
        self.waiting = 0  # `const`s whose value is being found

    # ------------------------------------------------------------ names
    def names(self) -> list[str]:
        """All names that can be written in this file."""
        return [
            *self.items,
            *self.consts,
            *self.named,
            *(n for f in self.uses for n in f.own_names()),
            *library_index(),
        ]

    def own_names(self) -> list[str]:
        return [*self.items, *self.consts]

    def find(self, e: Elaborator, name: str) -> Any:
        """What a name means here, or `None`."""
        if (own := self.own(e, name)) is not None:
            return own
        for file in self.uses:
            if (found := file.own(e, name)) is not None:
                return found
        if name in self.named:
            return Namespace(self.named[name])
        return from_library(e, name)

    def imported(self) -> Iterator[File]:
        """This file and all that it uses, each once, the library left out."""
        seen: list[File] = []
        waiting: list[File] = [self]
        while waiting:
            file = waiting.pop(0)
            if not file.is_library and file not in seen:
                seen.append(file)
                waiting += [*file.uses, *file.named.values()]
        return iter(seen)

    def own(self, e: Elaborator, name: str) -> Any:
        if name in self.broken:
            return POISON
        item = self.items.get(name)
        if isinstance(item, ast.Definition):
            return Template(item, self)
        if isinstance(item, ast.Dataset):
            return DatasetRef(item, self)
        if name in self.consts:
            return self._const(e, name)
        return None

    def const(self, e: Elaborator, name: str) -> Any:
        """The number of a `const` that bare axes of this file capture, or `MISSING`."""
        if name not in self.consts:
            for file in self.uses:
                if name in file.consts:
                    return file.const(e, name)
            return MISSING
        value = self._const(e, name)
        return value if is_number(value) and not isinstance(value, float) else MISSING

    def _const(self, e: Elaborator, name: str) -> Any:
        if name not in self.values:
            bind = self.consts[name]
            if self.waiting >= MAX_CONSTS:
                raise Problem("Z0412", f"{name}: `const`s need each other more than {MAX_CONSTS} deep", bind.span)
            self.values[name] = BUSY
            self.waiting += 1
            try:
                self.values[name] = self._evaluated(e, bind)
            except (Problem, Poisoned):
                self.values[name] = POISON
                raise
            finally:
                self.waiting -= 1
        if self.values[name] is BUSY:
            busy = [n for n, value in self.values.items() if value is BUSY]
            circle = " -> ".join((*busy[busy.index(name) :], name))
            raise Problem("Z0204", f"`const {name}` is defined by itself: {circle}", self.consts[name].span)
        return self.values[name]

    def _evaluated(self, e: Elaborator, bind: ast.Bind) -> Any:
        name = bind.name.id
        value = evaluate(e, Scope(self, kind="file"), bind.value)
        if isinstance(value, Template) and value.definition.kind == "block":
            value = Instance(value, name)
        elif not is_static(value) and not isinstance(value, Template | DatasetRef):
            raise Problem("Z0406", f"a `const` is known at compile time, this is {kind_of(value)}", bind.value.span)
        if name in self.overrides:
            return bounded(_override(name, value, self.overrides[name], bind.span), bind.span)
        return value


def _override(name: str, value: Any, given: Any, span: Span) -> Any:
    """`--set D=64`: the same kind as the `const` has."""
    number = is_number(value) and is_number(given) and not (isinstance(value, int) and isinstance(given, float))
    if not number and (type(value) is not type(given) or isinstance(value, Instance)):
        raise Problem("Z0211", f"--set {name}={given}: {name} is {kind_of(value)} ({value})", span)
    return float(given) if isinstance(value, float) else given


@dataclass(eq=False)
class Imports:
    """What one run has imported: each file is parsed once."""

    modules: dict[Path, ast.Module] = field(default_factory=dict)
    files: int = 0
    characters: int = 0


def open_file(
    module: ast.Module,
    folder: Path | None,
    root: Path | None,
    overrides: Mapping[str, Any],
    chain: tuple[Path, ...] = (),
    imports: Imports | None = None,
) -> tuple[File, list[Problem]]:
    """A file with its imports read. Problems of items that clash, and of imports, come beside it.

    Args:
        module: the file, parsed.
        folder: where it lies; imports are relative to it.
        root: the project's folder; imports stay inside.
        overrides: values of its `const`s.
        chain: the files that led here, this one last.
        imports: what the run has imported so far.
    """
    file, imports = File(module.source, folder, root, overrides), imports or Imports()
    problems: list[Problem] = []
    for item in module.items:
        try:
            if isinstance(item, ast.Use) and item.path is not None:
                problems += _use(file, item, item.path, chain, imports)
            else:
                _add(file, item)
        except Problem as problem:
            problems.append(problem)
    return file, problems + list(_unknown_overrides(file))


def _unknown_overrides(file: File) -> Iterator[Problem]:
    for name in file.overrides:
        if name.split(".")[0] not in file.consts and name.split(".")[0] not in file.named:
            close = nearest(name, file.consts)
            message = f"--set {name}: the spec has no `const {name}`"
            yield Problem("Z0210", message, None, help=f"did you mean `{close}`?" if close else "")


def _add(file: File, item: ast.Item) -> None:
    if isinstance(item, ast.Use):
        _use_library(file, item)
    elif isinstance(item, ast.Const):
        for bind in item.binds:
            _new_name(file, bind.name.id, bind.name.span)
            file.consts[bind.name.id] = bind
    elif isinstance(item, ast.Definition | ast.Dataset):
        _new_name(file, item.name, item.name_span if isinstance(item, ast.Definition) else item.span)
        file.items[item.name] = item


def _new_name(file: File, name: str, span: Span) -> None:
    before = file.items.get(name) or file.consts.get(name)
    if before is not None:
        first = before.name_span if isinstance(before, ast.Definition) else before.span
        raise Problem("Z0202", f"{name} is defined twice", span, (first, "the first definition"))


def _use(file: File, item: ast.Use, path: str, chain: tuple[Path, ...], imports: Imports) -> list[Problem]:
    """Import a file. Returns what is wrong in it; raises `Problem` where it is wrong to import it."""
    before, alias = file.incomplete, item.alias or ""
    file.incomplete = before or not alias  # until it is there
    file.broken.add(alias)
    if file.folder is None or file.root is None:
        raise Problem("Z0205", "a spec without a file cannot import others", item.span)
    if len(chain) > MAX_INCLUDES:
        raise Problem("Z0908", f"imports are more than {MAX_INCLUDES} deep", item.span)
    try:
        module, place = _module(file.folder.relative_to(file.root) / path, file.root, item.span, chain, imports)
    except SpecError as error:
        return [_imported(d, item.span) for d in error.diagnostics]
    used, problems = open_file(module, place.parent, file.root, {}, (*chain, place), imports)
    file.incomplete = before
    file.broken.remove(alias)
    if not alias:
        problems += _clashes(file, used, item)
        file.uses.append(used)
        return problems
    used.overrides = {k[len(alias) + 1 :]: v for k, v in file.overrides.items() if k.startswith(f"{alias}.")}
    file.named[alias] = used
    return problems


def _module(path: Path, root: Path, at: Span, chain: tuple[Path, ...], imports: Imports) -> tuple[ast.Module, Path]:
    """A file to import, parsed, and where it lies."""
    source = read(path, root, at)
    place = (root / path).resolve()
    if place in chain:
        circle = (*chain[chain.index(place) :], place)
        what = "a file imports itself" if len(circle) == 2 else "files import each other"
        raise Problem("Z0206", f"{what}: {' -> '.join(p.name for p in circle)}", at)
    imports.files += 1
    imports.characters += len(source.text)
    if imports.files > MAX_FILES or imports.characters > MAX_CHARACTERS:
        limit = f"{MAX_FILES} files and {MAX_CHARACTERS:,} characters"
        raise Problem("Z0908", f"a spec imports more than {limit}", at)
    if place not in imports.modules:
        imports.modules[place] = parse(source)
    return imports.modules[place], place


def _imported(d: Diagnostic, at: Span) -> Problem:
    """A diagnostic of an imported file, with the place that imports it."""
    notes = d.notes if d.span in (None, at) else (*d.notes, (at, "imported here"))
    return Problem(d.code, d.message, d.span or at, *notes, help=d.help)


def _clashes(file: File, used: File, item: ast.Use) -> Iterator[Problem]:
    """Names that two imported files give."""
    for name in used.own_names():
        for other in file.uses:
            if name in other.items or name in other.consts:
                message = f"{name} comes from two files, {other.source.name} and {used.source.name}"
                yield Problem("Z0202", message, item.span, help="give one of them a name: `use … as a`, then `a.x`")
                return


def _use_library(file: File, item: ast.Use) -> None:
    if item.names[0] != "std" or len(item.names) != 2 or item.names[1] not in library_texts():
        close = nearest(".".join(item.names), [f"std.{n}" for n in library_texts()])
        raise Problem(
            "Z0205",
            f"there is no {'.'.join(item.names)}",
            item.span,
            help=f"did you mean `{close}`?" if close else 'a file is imported with quotes: `use "nets.zh"`',
        )
    if item.alias:
        file.named[item.alias] = Library(item.names[1])


# ---------------------------------------------------------------- the library
class Library(File):
    """One file of the library; an item is parsed when it is first named."""

    is_library = True

    def __init__(self, name: str):
        super().__init__(LibraryText(f"std/{name}.zh", library_texts()[name]), None, None, {})
        self.room = name

    def own_names(self) -> list[str]:
        return [n for n, (room, _, _) in library_index().items() if room == self.room]

    def names(self) -> list[str]:
        return list(library_index())

    def own(self, e: Elaborator, name: str) -> Any:
        room, _, _ = library_index().get(name, ("", 0, 0))
        return library_item(name) if room == self.room else None

    def const(self, e: Elaborator, name: str) -> Any:
        return MISSING


@cache
def library_texts() -> dict[str, str]:
    """The files of the library by name, sorted."""
    folder = resources.files("zhdsl.lang") / "stdlib"
    found = {p.name[:-3]: p.read_text("utf-8") for p in folder.iterdir() if p.name.endswith(".zh")}
    return dict(sorted(found.items()))


@cache
def library_index() -> dict[str, tuple[str, int, int]]:
    """Name -> file, start and end of the item's text."""
    index: dict[str, tuple[str, int, int]] = {}
    for room, text in library_texts().items():
        found = list(ITEM.finditer(text))
        for match, following in zip(found, [*found[1:], None], strict=True):
            index[match[1]] = (room, match.start(), following.start() if following else len(text))
    return index


@cache
def library_item(name: str) -> Template | DatasetRef:
    """A definition of the library, parsed alone but with its places in the whole file."""
    room, start, end = library_index()[name]
    text = library_texts()[room]
    blank = re.sub(r"[^\n]", " ", text[:start])
    module = parse(LibraryText(f"std/{room}.zh", blank + text[start:end]))
    (item,) = (i for i in module.items if not isinstance(i, ast.Use | ast.Const))
    home = library_file(room)
    assert isinstance(item, ast.Definition | ast.Dataset)
    return Template(item, home) if isinstance(item, ast.Definition) else DatasetRef(item, home)


@cache
def library_file(room: str) -> Library:
    return Library(room)


def from_library(e: Elaborator, name: str) -> Any:
    """A definition of the library by its bare name, or `None`."""
    return library_item(name) if name in library_index() else None
