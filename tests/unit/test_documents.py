"""Documents name files, headings and commands that exist in the checkout."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from chatio.config.command_line import parse
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


def shell_of(text: str) -> list[str]:
    """The shell commands that `text` has, in blocks and in sentences."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return blocks + re.findall(r"`([^`\n]+)`", text)


def is_taken(arguments: list[str]) -> bool:
    """Whether main.py takes these arguments."""
    try:
        parse(arguments, env_file=ROOT / ".env")
    except SystemExit as end:
        return end.code == 0  # of --help and --version
    return True


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_each_command_of_main_py_in_a_document_is_one(page: Path) -> None:
    lines = "\n".join(shell_of(page.read_text("utf-8"))).replace("\\\n", " ").splitlines()
    for line in lines:
        for given in re.findall(r"\.venv/bin/python main\.py\b([^'|>#]*)", line):
            assert is_taken(shlex.split(given)), line


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_each_target_module_and_option_in_a_document_exists(page: Path) -> None:
    text = "\n".join(shell_of(page.read_text("utf-8")))
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)) - targets == set()
    for module in re.findall(r"\.venv/bin/python -m ((?:benchmarks|tests|tools)[\w.]*)", text):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
    options = re.findall(r"install\.sh((?: --[\w-]+| \d)+)", text)
    script = (ROOT / "deploy/install.sh").read_text()
    assert [
        option for each in options for option in re.findall(r"--\w+", each) if f"{option})" not in script
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_each_block_of_shell_in_a_document_is_shell(page: Path) -> None:
    for block in re.findall(r"^```sh\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        done = subprocess.run(["sh", "-n"], input=block, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), block


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_each_heading_that_a_document_links_to_exists(page: Path) -> None:
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text("utf-8")):
        target = page.parent / path if path else page
        if target.suffix == ".md":
            assert anchor in anchors(target), f"{path}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
