"""docs/data.md says what is read: no name and no ending is missing."""

from pathlib import Path

from genexp.data.decoding import EXTENSIONS, FORMATS
from genexp.data.layout import SPLIT_NAMES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/data.md").read_text()


def test_the_page_names_every_split_ending_and_format():
    assert {name for name in SPLIT_NAMES if f"`{name}`" not in PAGE} == set()
    assert {ending for ending in EXTENSIONS if f"`{ending}`" not in PAGE} == set()
    assert {kind for kind in FORMATS if kind not in PAGE} == set()
    assert "docs/data.md" in (ROOT / "README.md").read_text()
