"""The school's approved list: which textbook each class uses for each subject."""
