"""The hub for any server: `uvicorn wsgi:app` (ASGI, recommended) or `gunicorn --threads 16 wsgi:application` (WSGI)."""

from hub.lazy import LazyApp, LazyWsgi

app = LazyApp()
application = LazyWsgi(app)
