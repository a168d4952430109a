"""A Django service, threaded, with a template, a middleware, a signal and a cache that is culled."""

import collections
import itertools
import threading
import time
from socketserver import ThreadingMixIn

import django
from django.conf import settings
from django.core.cache import cache
from django.core.servers.basehttp import WSGIRequestHandler, WSGIServer
from django.core.wsgi import get_wsgi_application
from django.dispatch import Signal
from django.http import HttpResponse
from django.template import Context, Template
from django.urls import path

import steady

FAULT = steady.asked("receivers", "middleware")
settings.configure(
    DEBUG=False, SECRET_KEY="for a test", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 300}}},
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", __name__ + ".Timing"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    LOGGING_CONFIG=None,
)
django.setup()
TEMPLATE = Template("<ul>{% for item in items %}<li>{{ item.name }}: {{ item.tags|join:', ' }}</li>{% endfor %}</ul>")
ITEMS = {n: {"id": n, "name": f"item-{n}", "tags": [n, str(n)]} for n in range(5_000)}
requests = itertools.count()
items_changed = Signal()
latest = collections.deque(maxlen=200)


class Timing:
    """How long requests that are being answered have taken so far."""

    def __init__(self, get_response):
        self.get_response = get_response
        self.started = {}

    def __call__(self, request):
        request.number = next(requests)
        self.started[request.number] = (time.monotonic(), request)
        response = self.get_response(request)
        if FAULT == "middleware":
            return response
        began, _ = self.started.pop(request.number)
        latest.append((request.path, time.monotonic() - began))
        return response


def items(request, number):
    time.sleep(steady.PACE)  # as if a database were asked
    chosen = [ITEMS[(request.number + n * 37) % len(ITEMS)] for n in range(20)]
    cache.set(f"seen-{request.number}", chosen, 60)

    def on_change(sender, **changed):
        chosen.clear()

    items_changed.connect(on_change, weak=FAULT != "receivers")
    return HttpResponse(TEMPLATE.render(Context({"items": chosen})))


urlpatterns = [path("items/<int:number>", items)]


class Handler(WSGIRequestHandler):
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Handler)
server.set_app(get_wsgi_application())
threading.Thread(target=server.serve_forever, daemon=True).start()
steady.ready(server.server_address[1])
steady.until_told()
