"""Foreign tables as rows: what people have in Excel, LibreOffice, Word, a text file or the clipboard.

``read`` tells the format by the content, never by the name, and is bounded in time and memory whatever the
file says about itself; everything it refuses is an ``errors.Invalid`` with one sentence for the reader.
"""

from exchange.sheets.counts import number_of, year_of
from exchange.sheets.grid import Limits, Merged, Row, Sheet, Value
from exchange.sheets.reading import pasted, read

__all__ = ["Limits", "Merged", "Row", "Sheet", "Value", "number_of", "pasted", "read", "year_of"]
