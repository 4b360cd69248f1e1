from contextlib import contextmanager

from flask import Flask, current_app, has_app_context

from . import settings
from .models import db


def create_app():
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database()
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"connect_args": {"timeout": 15}}
    db.init_app(app)

    from .web import pages

    app.register_blueprint(pages)
    return app


@contextmanager
def house():
    """The application around code that no request has called."""
    if has_app_context():
        yield current_app
        return
    app = create_app()
    with app.app_context():
        try:
            yield app
        finally:
            db.session.remove()
            db.engine.dispose()
