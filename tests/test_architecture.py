"""The house rules, held by reading the source: who may import whom, what nobody may use, how long things may be.

Every rule is a function from one module to its breaches, written `file:line: rule`. The tables come first: to change
the architecture is to change a table, and that is to be argued for. `python tests/test_architecture.py` prints every
breach and, beyond them, the functions that are longer than they should usually be.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Room: the rooms it may import. Everyone may import EVERYONE'S, and itself.
COMPILER = ("lang", "ir", "ops", "autodiff", "passes", "schedule", "backends")
ROOMS: dict[str, tuple[str, ...]] = {
    "source": (),
    "errors": (),
    "ir": (),
    "ops": ("ir",),
    "lang": ("ir", "ops"),
    "autodiff": ("ir", "ops"),
    "passes": ("ir", "ops"),
    "schedule": ("ir", "ops"),
    "backends": ("ir", "ops", "schedule"),
    "runtime": COMPILER,
    "data": (),
    "train": ("runtime", "data"),
    "diagnose": ("lang", "ir", "ops", "autodiff", "runtime", "data", "train"),
    "notebook": ("lang", "ir", "runtime", "train", "viz"),
    "viz": ("ir", "schedule"),
    "cli": (*COMPILER, "runtime", "data", "train", "diagnose", "viz", "zhdsl"),
    "zhdsl": (*COMPILER, "runtime", "data", "train", "notebook", "viz"),  # the façade, zhdsl/__init__.py
}
EVERYONES = ("errors", "source", "__version__")

# (file, module): why this one import may break the table.
IMPORTS_ALLOWED = {
    ("zhdsl/errors.py", "zhdsl.lang.picture"): "a diagnostic draws itself only when it is printed",
    ("zhdsl/ir/graph.py", "zhdsl.notebook.bundles"): "a graph shows itself only when a notebook asks",
    ("zhdsl/runtime/session.py", "zhdsl.notebook.bundles"): "a model shows itself only when a notebook asks",
    ("zhdsl/train/result.py", "zhdsl.notebook.bundles"): "a run shows itself only when a notebook asks",
}

# Package: the only folders that may import it.
FENCES: dict[str, tuple[str, ...]] = {
    "lark": ("zhdsl/lang/",),
    "networkx": ("zhdsl/ir/", "zhdsl/viz/"),
    "cupy": ("zhdsl/backends/cuda/",),
    "cuda": ("zhdsl/backends/cuda/",),
    "subprocess": ("zhdsl/backends/native/",),
    "click": ("zhdsl/cli/",),
    "torch": (),
    "jax": (),
}

# What would run code from an input.
BANNED_MODULES = ("pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml")
BANNED_CALLS = ("eval", "exec", "__import__", "import_module", "os.system", "os.popen", "yaml.load", "torch.load")
# (file, call): why it is safe there.
CALLS_ALLOWED = {
    ("zhdsl/cli/main.py", "importlib.import_module"): "names come from the table of commands, not from input"
}

VAGUE = {"util", "utils", "helper", "helpers", "manager", "managers", "process", "misc"}
FILE_LINES = 500
FUNCTION_LINES = 40
FUNCTION_TARGET = 30

MACHINE_PATH = re.compile(r"(?<![\w.~:/])/(w[o]rk|r[o]ot|h[o]me|U[s]ers|t[m]p|m[n]t|o[p]t)/\w")
REGISTRY_HOST = re.compile(r"p[y]pi\.org|python[h]osted\.org|n[p]mjs\.(org|com)")
TEXT = {".py", ".zh", ".md", ".toml", ".lark", ".txt", ".json", ".case", ".c", ".h", ".cu", ".cfg", ".yml", ".sh", ""}


@dataclass(frozen=True)
class Module:
    """One Python file: its path from the root of the checkout, with `/`, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def room(self) -> str:
        """`zhdsl/ir/graph.py` is in `ir`, `zhdsl/errors.py` is `errors`, `zhdsl/__init__.py` is the façade."""
        name = self.path.removeprefix("zhdsl/").split("/")[0].removesuffix(".py")
        return "zhdsl" if name in ("__init__", "__main__") else name

    @property
    def nodes(self) -> Iterator[ast.AST]:
        return ast.walk(self.tree)

    def breach(self, line: int, rule: str) -> str:
        return f"{self.path}:{line}: {rule}"


Rule = Callable[[Module], Iterator[str]]


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported, at any depth: `from a import b` is `a.b`."""
    package = module.path.removesuffix(".py").split("/")[:-1]
    for node in module.nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)


def calls(module: Module) -> Iterator[tuple[ast.Call, str]]:
    """Every call with the dotted name of what is called, as far as it is one."""
    for node in module.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield node, ast.unparse(node.func)


def room_of(name: str) -> str:
    """The room that `zhdsl.ir.graph.Graph` belongs to; any name of the façade itself is the façade's."""
    part = name.split(".")[1] if "." in name else "zhdsl"
    return part if part in ROOMS or part in EVERYONES else "zhdsl"


# ---------------------------------------------------------------- the rules
def rooms_import_only_what_the_table_says(module: Module) -> Iterator[str]:
    allowed = {module.room, *EVERYONES, *ROOMS.get(module.room, ())}
    if module.room not in ROOMS:
        yield module.breach(1, f"no room is called '{module.room}': give it a line in ROOMS of {Path(__file__).name}")
    for line, name in imports(module):
        ours = name == "zhdsl" or name.startswith("zhdsl.")
        excepted = any(module.path == path and name.startswith(what) for path, what in IMPORTS_ALLOWED)
        if ours and room_of(name) not in allowed and not excepted:
            may = ", ".join(sorted(allowed - {module.room, "__version__"}))
            yield module.breach(line, f"'{module.room}' may import {may}; it imports {name}")


def packages_stay_behind_their_fences(module: Module) -> Iterator[str]:
    for line, name in imports(module):
        folders = FENCES.get(name.split(".")[0])
        if folders is not None and not module.path.startswith(folders):
            where = " and ".join(folders) or "benchmarks and tests"
            yield module.breach(line, f"{name.split('.')[0]} is imported only in {where}")


def nothing_runs_code_from_input(module: Module) -> Iterator[str]:
    for line, name in imports(module):
        if name.split(".")[0] in BANNED_MODULES:
            yield module.breach(line, f"{name.split('.')[0]} can run code from a file: it is banned")
    for call, name in calls(module):
        banned = any(name == ban or ("." not in ban and name.endswith(f"importlib.{ban}")) for ban in BANNED_CALLS)
        if banned and (module.path, name) not in CALLS_ALLOWED:
            yield module.breach(call.lineno, f"{name}() can run code from input: it is banned")


def numpy_load_refuses_objects(module: Module) -> Iterator[str]:
    for call, name in calls(module):
        if name in ("np.load", "numpy.load"):
            refuses = any(k.arg == "allow_pickle" and ast.unparse(k.value) == "False" for k in call.keywords)
            if not refuses:
                yield module.breach(call.lineno, "np.load needs allow_pickle=False, written out")


def files_are_short(module: Module) -> Iterator[str]:
    lines = module.text.count("\n")
    if lines > FILE_LINES:
        yield module.breach(FILE_LINES + 1, f"{lines} lines; a file has at most {FILE_LINES}: split it by idea")


def functions_are_short(module: Module) -> Iterator[str]:
    yield from functions_longer_than(FUNCTION_LINES, module)


def functions_longer_than(most: int, module: Module) -> Iterator[str]:
    """Counts a function's lines without its decorators and its docstring."""
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines(node)
            if lines > most:
                yield module.breach(node.lineno, f"{node.name} has {lines} lines; a function has at most {most}")


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    if ast.get_docstring(node, clean=False) is None:
        return 0
    return (node.body[0].end_lineno or 0) - node.body[0].lineno + 1


def modules_say_what_they_are(module: Module) -> Iterator[str]:
    if not ast.get_docstring(module.tree):
        yield module.breach(1, "a module begins with a docstring: what it is, what goes in, what comes out")


def names_say_something(module: Module) -> Iterator[str]:
    for part in module.path.removesuffix(".py").split("/"):
        if vague := VAGUE & set(part.split("_")):
            yield module.breach(1, f"'{vague.pop()}' says nothing: name the module for what it holds")


OF_THE_PACKAGE: tuple[Rule, ...] = (
    rooms_import_only_what_the_table_says,
    packages_stay_behind_their_fences,
    nothing_runs_code_from_input,
    numpy_load_refuses_objects,
    functions_are_short,
)
OF_ALL_PYTHON: tuple[Rule, ...] = (files_are_short, modules_say_what_they_are, names_say_something)


# ---------------------------------------------------------------- the checkout
def tracked() -> list[str]:
    """Paths of what git keeps or would keep; of everything that lies here, where there is no git."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        found = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        found = [p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*") if "__pycache__" not in p.parts]
    return sorted(p for p in found if p and (ROOT / p).is_file())


def python_modules(*folders: str) -> list[Module]:
    """The Python files of some folders of the checkout (of all, if none is named)."""
    paths = [p for p in tracked() if p.endswith(".py") and (not folders or p.startswith(folders))]
    return [Module(path, (ROOT / path).read_text(encoding="utf-8")) for path in paths]


def breaches(rules: tuple[Rule, ...], modules: list[Module]) -> list[str]:
    return [breach for module in modules for rule in rules for breach in rule(module)]


def machine_text(path: str, text: str) -> Iterator[str]:
    """Paths of one machine and addresses of package registries, in any text."""
    for number, line in enumerate(text.splitlines(), 1):
        if found := MACHINE_PATH.search(line):
            yield f"{path}:{number}: '{found.group()}…' exists on one machine only"
        if found := REGISTRY_HOST.search(line):
            yield f"{path}:{number}: name no registry host ('{found.group()}')"


@pytest.mark.parametrize("rule", OF_THE_PACKAGE, ids=lambda rule: rule.__name__)
def test_in_the_package(rule: Rule) -> None:
    found = breaches((rule,), python_modules("zhdsl/"))
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("rule", OF_ALL_PYTHON, ids=lambda rule: rule.__name__)
def test_in_all_python(rule: Rule) -> None:
    found = breaches((rule,), python_modules())
    assert not found, "\n" + "\n".join(found)


def test_numpy_load_is_called_in_one_file() -> None:
    files = {m.path for m in python_modules("zhdsl/") for _, name in calls(m) if name in ("np.load", "numpy.load")}
    assert len(files) <= 1, f"np.load has one wrapper; it is called in {sorted(files)}"


def test_no_text_names_a_machine() -> None:
    texts = [p for p in tracked() if Path(p).suffix in TEXT]
    found = [b for p in texts for b in machine_text(p, (ROOT / p).read_text(encoding="utf-8", errors="replace"))]
    assert not found, "\n" + "\n".join(found)


def test_every_exception_of_the_tables_is_needed() -> None:
    modules = {m.path: m for m in python_modules("zhdsl/")}
    unused = [key for key in IMPORTS_ALLOWED if not any(n.startswith(key[1]) for _, n in imports(modules[key[0]]))]
    unused += [key for key in CALLS_ALLOWED if key[1] not in {name for _, name in calls(modules[key[0]])}]
    assert not unused, f"delete from the tables: {unused}"


# ---------------------------------------------------------------- the rules themselves
BREACHES = [
    (
        rooms_import_only_what_the_table_says,
        "zhdsl/ir/graph.py",
        "import zhdsl.ops.elementwise",
        "it imports zhdsl.ops",
    ),
    (rooms_import_only_what_the_table_says, "zhdsl/lang/check.py", "from zhdsl.passes import run", "zhdsl.passes.run"),
    (rooms_import_only_what_the_table_says, "zhdsl/lang/check.py", "from zhdsl import train", "zhdsl.train"),
    (rooms_import_only_what_the_table_says, "zhdsl/lang/check.py", "from ..autodiff import vjp", "zhdsl.autodiff.vjp"),
    (
        rooms_import_only_what_the_table_says,
        "zhdsl/data/csv.py",
        "def f():\n  from zhdsl.ir import Graph",
        "data/csv.py:2:",
    ),
    (rooms_import_only_what_the_table_says, "zhdsl/ir/graph.py", "import zhdsl", "it imports zhdsl"),
    (rooms_import_only_what_the_table_says, "zhdsl/garage/car.py", '"""A car."""', "no room is called 'garage'"),
    (packages_stay_behind_their_fences, "zhdsl/ops/reduce.py", "from lark import Lark", "lark is imported only in"),
    (packages_stay_behind_their_fences, "zhdsl/lang/check.py", "import networkx as nx", "networkx is imported only in"),
    (packages_stay_behind_their_fences, "zhdsl/train/fit.py", "import torch.nn", "benchmarks and tests"),
    (nothing_runs_code_from_input, "zhdsl/data/npz.py", "import pickle", "pickle can run code"),
    (nothing_runs_code_from_input, "zhdsl/lang/sizes.py", "x = eval('1')", "eval() can run code"),
    (
        nothing_runs_code_from_input,
        "zhdsl/cli/show.py",
        "importlib.import_module(name)",
        "import_module() can run code",
    ),
    (
        nothing_runs_code_from_input,
        "zhdsl/cli/show.py",
        "from importlib import import_module\nimport_module(n)",
        "show.py:2",
    ),
    (numpy_load_refuses_objects, "zhdsl/data/npz.py", "np.load(path)", "needs allow_pickle=False"),
    (numpy_load_refuses_objects, "zhdsl/data/npz.py", "np.load(path, allow_pickle=True)", "needs allow_pickle=False"),
    (files_are_short, "zhdsl/ir/graph.py", "x = 1\n" * 501, "501 lines"),
    (
        functions_are_short,
        "zhdsl/ir/graph.py",
        "class A:\n  def f():\n" + "    x = 1\n" * 40,
        "graph.py:2: f has 41 lines",
    ),
    (modules_say_what_they_are, "zhdsl/ir/graph.py", "x = 1", "begins with a docstring"),
    (names_say_something, "zhdsl/ir/graph_utils.py", "", "'utils' says nothing"),
]
KEPT = [
    (
        rooms_import_only_what_the_table_says,
        "zhdsl/lang/check.py",
        "from zhdsl.ops import registry\nimport zhdsl.errors",
    ),
    (rooms_import_only_what_the_table_says, "zhdsl/lang/check.py", "from . import ast\nfrom .ast import Name"),
    (rooms_import_only_what_the_table_says, "zhdsl/runtime/state.py", "from zhdsl import __version__"),
    (rooms_import_only_what_the_table_says, "zhdsl/data/csv.py", "import zhdslike"),
    (packages_stay_behind_their_fences, "zhdsl/lang/parser.py", "def f():\n  import lark"),
    (nothing_runs_code_from_input, "zhdsl/ir/graph.py", "re.compile(x); model.eval(); self.exec()"),
    (numpy_load_refuses_objects, "zhdsl/data/npz.py", "np.load(path, allow_pickle=False)"),
    (functions_are_short, "zhdsl/ir/graph.py", 'def f():\n  """\n' + "  words\n" * 60 + '  """\n' + "  x = 1\n" * 39),
]


@pytest.mark.parametrize(("rule", "path", "text", "says"), BREACHES)
def test_a_rule_sees_its_breach(rule: Rule, path: str, text: str, says: str) -> None:
    found = list(rule(Module(path, text)))
    assert len(found) == 1
    assert says in found[0]
    assert found[0].startswith(f"{path}:")


@pytest.mark.parametrize(("rule", "path", "text"), KEPT)
def test_a_rule_lets_the_rest_pass(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Module(path, text))) == []


@pytest.mark.parametrize("text", ["see /h" + "ome/ada/zhdsl", "'/t" + "mp/x'", "https://p" + "ypi.org/simple"])
def test_a_text_that_names_a_machine_is_seen(text: str) -> None:
    assert [b.split(":")[:2] for b in machine_text("README.md", f"first\n{text}\n")] == [["README.md", "2"]]


if __name__ == "__main__":
    print(*breaches(OF_THE_PACKAGE, python_modules("zhdsl/")), sep="\n")
    print(*breaches(OF_ALL_PYTHON, python_modules()), sep="\n")
    print(f"\nLonger than {FUNCTION_TARGET} lines, which is allowed and seldom right:")
    print(*(b for m in python_modules("zhdsl/") for b in functions_longer_than(FUNCTION_TARGET, m)), sep="\n")
