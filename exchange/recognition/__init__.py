"""Recognition: which textbook of the list a row of a school's table means."""
