"""A regional provision report as a district to try an exchange with."""
