"""Tables as Markdown, which is also what the terminal shows, and as CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """
    A table of text.

    :param header: names of the columns
    :param rows: one text per column
    """

    header: list[str]
    rows: list[list[str]]

    def markdown(self) -> str:
        """Write the table such that it reads well as plain text too."""
        widths = [max(len(line[column]) for line in (self.header, *self.rows)) for column in range(len(self.header))]
        ruler = ["-" * width for width in widths]
        return "\n".join(
            "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |"
            for line in (self.header, ruler, *self.rows)
        )

    def csv(self) -> str:
        """Write the table as comma-separated values."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.header, *self.rows])
        return text.getvalue()
