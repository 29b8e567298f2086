"""No module imports itself by way of others, `TYPE_CHECKING` and deferred imports included.

The contracts of import-linter name packages; this test also holds between the modules of one package.
"""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

from tests.paths import ROOT


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.Module, modules: set[str]) -> set[str]:
    """The modules of `modules` that `tree` imports anywhere. `from package import module` is the module."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if names <= modules else {str(node.module), *names}
    return found & modules


def test_no_module_imports_itself_by_way_of_others() -> None:
    paths = {name_of(path): path for folder in ("chatio", "handlers") for path in (ROOT / folder).rglob("*.py")}
    graph = {name: imports(ast.parse(path.read_text("utf-8")), set(paths)) for name, path in paths.items()}
    assert len(graph["handlers.application"]) > 10
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle
