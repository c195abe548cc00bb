"""Which textbook a line of a librarian's table means."""
