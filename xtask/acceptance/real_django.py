"""A Django service, threaded, with a template and a cache."""

import os
import sys
import threading
from socketserver import ThreadingMixIn

import django
from django.conf import settings
from django.core.cache import cache
from django.core.servers.basehttp import WSGIRequestHandler, WSGIServer
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.template import Context, Template
from django.urls import path

settings.configure(
    DEBUG=False, SECRET_KEY="for a test", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 50_000}}},
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    LOGGING_CONFIG=None,
)
django.setup()
TEMPLATE = Template("<ul>{% for item in items %}<li>{{ item.name }}: {{ item.tags|join:', ' }}</li>{% endfor %}</ul>")
ITEMS = {n: {"id": n, "name": f"item-{n}", "tags": [n, str(n)]} for n in range(50_000)}


def items(request, number):
    chosen = [ITEMS[(number + n * 37) % len(ITEMS)] for n in range(20)]
    cache.set(f"seen-{threading.get_ident()}-{number}", chosen, 60)
    return HttpResponse(TEMPLATE.render(Context({"items": chosen})))


def as_json(request, number):
    return JsonResponse(ITEMS[number % len(ITEMS)])


urlpatterns = [path("items/<int:number>", items), path("json/<int:number>", as_json)]


class Handler(WSGIRequestHandler):
    def log_message(self, *args):
        pass


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Handler)
server.set_app(get_wsgi_application())
threading.Thread(target=server.serve_forever, daemon=True).start()
print("ready", os.getpid(), server.server_address[1], flush=True)
sys.stdin.readline()
print("done 0 0", flush=True)
os._exit(0)
