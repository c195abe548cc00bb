"""The federal list of textbooks, the textbooks themselves and their editions."""
