"""A Django service that keeps rendered pages in its cache: service_django.py

`apply` clears the cache.
"""

import ctypes
import itertools
from socketserver import ThreadingMixIn

import django
from django.conf import settings
from django.core.cache import cache
from django.core.servers.basehttp import WSGIRequestHandler, WSGIServer
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.template import Context, Template
from django.urls import path

import talk

settings.configure(
    DEBUG=False, SECRET_KEY="for a test", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
    CACHES={"default": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 100_000},
    }},
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    LOGGING_CONFIG=None,
)
django.setup()
PAGE = Template("<ul>{% for n in numbers %}<li>number {{ n }} of page {{ page }}</li>{% endfor %}</ul>")
requests = itertools.count()


def rendered(page):
    key = "page-%d" % page
    found = cache.get(key)
    if found is None:
        found = "<p>line of page %d</p>" % page * 60
        cache.set(key, found, None)
    return found


def items(request, number):
    number = next(requests)
    clock.rounds += 1
    page = PAGE.render(Context({"numbers": range(10), "page": number}))
    return HttpResponse(page + rendered(number % 15_000))


urlpatterns = [path("items/<int:number>", items)]


class Handler(WSGIRequestHandler):
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def clear():
    cache.clear()
    ctypes.CDLL(None).malloc_trim(0)


clock = talk.Clock()
for page in range(15_000):
    rendered(page)
server = Server(("127.0.0.1", 0), Handler)
server.set_app(get_wsgi_application())
talk.in_background(server.serve_forever)
talk.answer(clock, apply=clear, port=server.server_address[1])
