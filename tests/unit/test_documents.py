"""Documents name files and commands that exist in the checkout."""

import re
from pathlib import Path

import pytest

from tests.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]
FOLDERS = ("benchmarks", "chatio", "deploy", "docs", "handlers", "tests", "tools", "web")
NAMES = [path.name for path in PAGES]


def files() -> list[str]:
    """Paths of the checkout's files, relative to it and with a slash before each."""
    found = [ROOT / "main.py", *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
    return [f"/{path.relative_to(ROOT).as_posix()}" for path in found if "node_modules" not in path.parts]


@pytest.fixture(scope="module")
def checkout() -> list[str]:
    return files()


def missing_modules(text: str, checkout: list[str]) -> set[str]:
    """The Python files that `text` names, in full or by their last parts, and that do not exist.

    A file that the reader saves is not of the checkout.
    """
    named = set(re.findall(r"(?<![\w/.])(?<!save this as `)(?:\w+/)*\w+\.py\b", text))
    return {name for name in named if not any(path.endswith(f"/{name}") for path in checkout)}


def missing_paths(text: str) -> set[str]:
    """The paths below a folder of the checkout that `text` names in code, and that do not exist."""
    named = re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)(?:::\w+)?`", text)
    return {name for name in named if not (ROOT / name).exists()}


def missing_links(page: Path, text: str) -> set[str]:
    """The relative links of `page` that lead to no file."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", text)
    return {link for link in links if not (page.parent / link).exists()}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_each_path_of_the_checkout_in_a_document_exists(page: Path, checkout: list[str]) -> None:
    text = page.read_text("utf-8")
    assert missing_modules(text, checkout) == set()
    assert missing_paths(text) == set()
    assert missing_links(page, text) == set()


def test_each_test_that_a_document_names_exists(checkout: list[str]) -> None:
    sources = [ROOT / name[1:] for name in checkout if name.startswith("/tests/") and name.endswith(".py")]
    known = {name for path in sources for name in re.findall(r"def (test_\w+)", path.read_text("utf-8"))}
    known |= {path.stem for path in sources}
    named = {name for page in PAGES for name in re.findall(r"\btest_\w+", page.read_text("utf-8"))}
    assert named - known == set()


def test_the_architecture_names_each_module_of_each_package() -> None:
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| `((?:chatio|handlers)/[\w/]*)` \| (.*) \|$", text, re.MULTILINE)
    named = {f"{package}{name}" for package, names in rows for name in re.findall(r"`(\w+\.py)`", names)}
    modules = [path for folder in ("chatio", "handlers") for path in (ROOT / folder).rglob("*.py")]
    assert named == {path.relative_to(ROOT).as_posix() for path in modules if path.stem != "__init__"}


def test_the_glossary_has_at_most_25_terms() -> None:
    glossary = (ROOT / "docs/architecture.md").read_text("utf-8").partition("## The picture")[0]
    assert 0 < len(re.findall(r"^\| (?!term |---)", glossary, re.MULTILINE)) <= 25


def test_the_readme_has_at_most_700_words() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").split()) <= 700


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_command_for_a_checkout_names_the_python_of_its_environment(page: Path) -> None:
    text = page.read_text("utf-8")
    assert re.findall(r"(?<![\w/])python3? (?:main\.py|-m (?:benchmarks|tests|tools)).*", text) == []
