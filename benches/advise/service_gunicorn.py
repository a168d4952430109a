"""A Flask application under gunicorn with --preload and three workers: service_gunicorn.py [--freeze]"""

import collections
import gc
import sys

FREEZE = "--freeze" in sys.argv
if FREEZE:
    gc.disable()

import flask
import gunicorn.app.base

app = flask.Flask(__name__)
places = {
    n: {"id": n, "name": "place number %d" % n, "at": [n / 7, n / 11], "near": {"by": n % 97}}
    for n in range(150_000)
}
sessions = collections.OrderedDict()
requests = iter(range(1 << 60))


@app.get("/items/<int:number>")
def read(number):
    number = next(requests)
    sessions[number] = [{"seen": [n], "at": {"n": n}} for n in range(40)]
    if len(sessions) > 200:
        sessions.popitem(last=False)
    return [places[(number * 31 + n) % 5_000] for n in range(20)]


class Server(gunicorn.app.base.BaseApplication):
    def load_config(self):
        options = {
            "bind": "127.0.0.1:0", "workers": 3, "preload_app": True, "when_ready": self.when_ready,
            "loglevel": "error", "keepalive": 30, "worker_class": "gthread", "threads": 4,
        }
        if FREEZE:
            options |= {
                "pre_fork": lambda server, worker: gc.freeze(),
                "post_fork": lambda server, worker: gc.enable(),
            }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self):
        return app

    def when_ready(self, server):
        print("ready", server.LISTENERS[0].sock.getsockname()[1], flush=True)


Server().run()
