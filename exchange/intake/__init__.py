"""A school's own spreadsheet becomes the counts of its shelf."""
