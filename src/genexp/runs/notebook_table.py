"""Rows that a notebook shows as a table."""

import html
from collections.abc import Iterator

from genexp.files.trees import Tree


class Rows(list[Tree]):
    """A list of dictionaries, shown as a table in a notebook and as aligned text elsewhere.

    `pandas.DataFrame(rows)` takes it as it is.
    """

    @property
    def names(self) -> list[str]:
        """The keys of all rows, in the order in which they first appear."""
        return list(dict.fromkeys(name for row in self for name in row))

    def column(self, name: str) -> list[object]:
        """The values under one key, of the rows that have it.

        Raises:
            KeyError: no row has it.
        """
        found = [row[name] for row in self if name in row]
        if not found:
            raise KeyError(f"name must be one of {', '.join(self.names)}, got {name}")
        return found

    def having(self, *names: str) -> "Rows":
        """The rows that have all of these keys, with these keys alone."""
        return Rows({name: row[name] for name in names} for row in self if all(name in row for name in names))

    def __str__(self) -> str:
        lines = [self.names, *self._texts()]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.names))]
        return "\n".join("  ".join(f"{text:<{width}}" for text, width in zip(line, widths)).rstrip() for line in lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.names)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in texts)}</tr>" for texts in self._texts()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _texts(self) -> Iterator[list[str]]:
        names = self.names
        for row in self:
            yield [_text(row.get(name)) for name in names]


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
