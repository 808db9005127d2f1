"""Every link of docs/theory.md leads to a file, and every function or class that it names is defined there."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "theory.md").read_text()
NAMED = re.findall(r"\[`(\w+)`\]\(([^)#]+)\)", TEXT)
LINKS = [link for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", TEXT) if "://" not in link]


def defines(source: str, name: str) -> bool:
    return re.search(rf"^\s*(export )?(async )?(def|class|function|const) {name}\b", source, re.MULTILINE) is not None


@pytest.mark.parametrize("link", sorted(set(LINKS)))
def test_a_link_leads_to_a_file(link):
    assert (DOCS / link).is_file()


@pytest.mark.parametrize(("name", "link"), sorted(set(NAMED)))
def test_a_named_function_is_defined_where_the_link_leads(name, link):
    assert defines((DOCS / link).read_text(), name)


def test_the_links_were_found():
    assert len(NAMED) > 30 and len(LINKS) > len(NAMED)
    assert not defines("x = posterior(y)", "posterior")
