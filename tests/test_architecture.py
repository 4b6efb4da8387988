"""The direction of the arrows: who may import whom, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from trainer.paths import REPOSITORY

HEAVY = {"torch", "transformers", "trl", "peft", "datasets", "accelerate"}
FLOOR = {
    f"trainer.{name}"
    for name in (
        "options",
        "values",
        "config",
        "contradictions",
        "contradictions_of_methods",
        "compat",
        "compat_words",
        "settings_file",
        "interpolation",
        "errors",
        "events",
        "paths",
    )
}
# The floor's modules that are folders of tables.
FLOOR |= {f"trainer.options.{path.stem}" for path in (REPOSITORY / "trainer" / "options").glob("[a-z]*.py")}
MAY_READ_ENVIRONMENT = {"app", "trainer.cli", "trainer.jobs.launch"}
# Rooms by height: a module imports only from rooms below its own.
ROOMS = {
    "trainer.dataset": {"trainer.dataset"},
    "trainer.model": {"trainer.model", "trainer.dataset"},
    "trainer.train": {"trainer.train", "trainer.model", "trainer.dataset"},
    "trainer.chat": {"trainer.chat", "trainer.model", "trainer.dataset"},
    "trainer.evaluate": {"trainer.evaluate", "trainer.model", "trainer.dataset"},
    "trainer.export": {"trainer.export", "trainer.model", "trainer.dataset"},
    "trainer.jobs": {"trainer.jobs", "trainer.dataset"},
}
LATER_IN_JOBS = {"trainer.train", "trainer.chat", "trainer.model", "trainer.evaluate", "trainer.export"}
# What the page shows of an evaluation: plain values and words, no numpy and no model.
SHOWN = {"trainer.evaluate.shown", "trainer.evaluate.words", "trainer.evaluate.paper"}
FACE = (
    "options",
    "values",
    "config",
    "compat",
    "errors",
    "events",
    "paths",
    "jobs",
    "dataset",
    "chat",
    "model.catalog",
    "model.fit",
    "device",
)


def name_of(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, ast.Module]:
    paths = [
        REPOSITORY / "app.py",
        *(REPOSITORY / "trainer").rglob("*.py"),
        *(REPOSITORY / "webui").rglob("*.py"),
    ]
    return {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def imported(node: ast.AST, module: str) -> Iterator[str]:
    """The modules that an import statement names; `from trainer import x` may mean the module trainer.x."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        assert not node.level, f"{module} imports by a relative name"
        for alias in node.names:
            yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules() else base


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


@cache
def at_top(module: str) -> set[str]:
    """What importing the module imports: everything outside functions and outside `if TYPE_CHECKING`."""
    found: set[str] = set()
    waiting: list[ast.AST] = [*modules()[module].body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or is_for_types(node):
            continue
        found.update(imported(node, module))
        waiting.extend(ast.iter_child_nodes(node))
    return found


@cache
def anywhere(module: str) -> set[str]:
    return {name for node in ast.walk(modules()[module]) for name in imported(node, module)}


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_only_the_page_knows_gradio() -> None:
    for module in modules():
        if module.startswith("trainer"):
            roots = {name.split(".")[0] for name in anywhere(module)}
            assert not roots & {"gradio", "webui"}, module


def test_the_floor_stands_on_the_standard_library() -> None:
    for module in FLOOR:
        for name in anywhere(module):
            assert name.split(".")[0] != "trainer" or name == "trainer" or name in FLOOR, (
                f"{module} imports {name}"
            )
            assert name.split(".")[0] not in HEAVY, f"{module} imports {name}"


def closure(module: str) -> set[str]:
    """Everything that importing the module loads, through our own modules."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        each = waiting.pop()
        if each in seen:
            continue
        seen.add(each)
        if each in modules():
            parents = [each.rpartition(".")[0]] if "." in each else []
            waiting.extend([*at_top(each), *parents])
    return seen


@pytest.mark.parametrize(
    "start", ["app", "trainer.cli", "trainer.__main__", "trainer.jobs.workspace", "webui", *sorted(FLOOR)]
)
def test_what_starts_never_waits_for_torch(start: str) -> None:
    for name in closure(start):
        assert name.split(".")[0] not in HEAVY, f"{start} loads {name}"


def test_the_page_imports_no_heavy_library_anywhere_and_only_the_face() -> None:
    for module in modules():
        if module.split(".")[0] != "webui":
            continue
        for name in anywhere(module):
            assert name.split(".")[0] not in HEAVY, f"{module} imports {name}"
            if name.startswith("trainer."):
                inner = name.removeprefix("trainer.")
                assert any(inner == each or inner.startswith(f"{each}.") for each in FACE), (
                    f"{module} imports {name}"
                )


def test_rooms_import_only_from_rooms_below() -> None:
    for module in modules():
        room = room_of(module)
        if room not in ROOMS:
            continue
        for name in anywhere(module):
            other = room_of(name)
            if other not in ROOMS or (room == "trainer.jobs" and name in SHOWN):
                continue
            allowed = ROOMS[room] | (
                LATER_IN_JOBS if room == "trainer.jobs" and name not in at_top(module) else set()
            )
            assert other in allowed, f"{module} imports {name}"


def test_no_import_goes_in_a_circle() -> None:
    edges = {module: {name for name in at_top(module) if name in modules()} for module in modules()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for each in sorted(edges[module] - {module}):
                visit(each, (*path, module))
            done.add(module)

    for module in edges:
        visit(module, ())


def test_the_environment_is_read_in_three_places() -> None:
    for module, tree in modules().items():
        if module in MAY_READ_ENVIRONMENT:
            continue
        for node in ast.walk(tree):
            uses = isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "putenv")
            assert not uses, f"{module}, line {getattr(node, 'lineno', 0)}"


def test_nothing_unsafe_is_called() -> None:
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in (
                    "yaml.load",
                    "pickle.load",
                    "pickle.loads",
                    "eval",
                    "exec",
                    "os.system",
                ), module
                shell = [word for word in node.keywords if word.arg == "shell"]
                assert not shell, f"{module}, line {node.lineno}"


def test_files_and_functions_stay_small() -> None:
    """Tables may be long: the options, and words without code."""
    for module, tree in modules().items():
        if module == "trainer.options":
            continue
        lines = max((getattr(node, "end_lineno", 0) or 0 for node in tree.body), default=0)
        assert lines <= 350, f"{module} has {lines} lines"
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                long = (node.end_lineno or 0) - node.lineno + 1
                assert long <= 60, f"{module}.{node.name} has {long} lines"


def test_the_start_is_short() -> None:
    assert len((REPOSITORY / "app.py").read_text(encoding="utf-8").splitlines()) <= 40
