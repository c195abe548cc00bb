"""The demo district: real village names, fictional numbers and people, a season played by the services."""
