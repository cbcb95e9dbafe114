"""What the documents say is there is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_tour_names_only_what_exists() -> None:
    tour = (ROOT / "docs" / "architecture.md").read_text().split("## A tour")[1]
    missing = []
    for row in re.findall(r"^\| (`[^|]+) \|", tour, flags=re.MULTILINE):
        names = re.findall(r"`([^`]+)`", row)
        folder = (ROOT / names[0]).parent  # later names of a row may stand in the folder of the first
        missing += [name for name in names if not (ROOT / name).exists() and not (folder / name).exists()]
    assert missing == []


def test_the_readme_names_the_two_commands_that_the_makefile_has() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    commands = set(re.findall(r"make (\w+)", (ROOT / "README.md").read_text()))
    assert {"run", "test"} <= commands <= set(targets)
