"""The way from an empty database to the present tables, step by step."""
