"""Districts, schools, the reserve fund as a holder, people and their roles."""
