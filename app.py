"""WSGI entry: ``flask run``, or any WSGI server on ``app:app``."""

from exchange import create_app

app = create_app()
