"""A shop's catalogue behind FastAPI and uvicorn: service_fastapi.py [SWITCH]

--slots       __slots__ for the products
--intern      one string of each brand and kind
--freeze      gc.freeze() after start-up
--thresholds  higher thresholds
"""

import collections
import gc
import json
import sys

import fastapi
import uvicorn

import talk


class Product:
    if "--slots" in sys.argv:
        __slots__ = ("id", "name", "brand", "kind", "price", "related")

    def __init__(self, row):
        self.id = row["id"]
        self.name = row["name"]
        self.brand = one(row["brand"])
        self.kind = one(row["kind"])
        self.price = row["price"]
        self.related = row["related"]


one = sys.intern if "--intern" in sys.argv else str


def load():
    for n in range(100_000):
        row = {
            "id": n, "name": "product number %d" % n, "brand": "the brand called %d" % (n % 300),
            "kind": "the kind called %d" % (n % 40), "price": n / 7, "related": [n % 97, n % 89],
        }
        yield Product(json.loads(json.dumps(row)))


products = list(load())
recent = collections.OrderedDict()
clock = talk.Clock()
app = fastapi.FastAPI()


@app.get("/items/{number}")
async def read(number: int):
    clock.rounds += 1
    found = [products[(clock.rounds * 31 + n * 37) % len(products)] for n in range(30)]
    answer = [{"id": p.id, "name": p.name, "brand": {"name": p.brand}, "price": [p.price]} for p in found]
    recent[clock.rounds] = answer[:10]
    if len(recent) > 1_000:
        recent.popitem(last=False)
    return answer


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets=sockets)
        if "--freeze" in sys.argv:
            gc.collect()
            gc.freeze()
        if "--thresholds" in sys.argv:
            gc.set_threshold(100_000, 50, 50)
        port = self.servers[0].sockets[0].getsockname()[1]
        talk.in_background(lambda: talk.answer(clock, port=port))


Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error")).run()
