"""Class groups, enrolment and its forecast."""
