"""Names of the files of a report."""

import re


def safe_name(text: str) -> str:
    """A text as a file name: everything but letters, digits and `_ . = + , -` becomes a hyphen."""
    return re.sub(r"[^\w.=+,-]+", "-", text, flags=re.ASCII).strip("-.") or "all"
