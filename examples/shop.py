"""A small web shop with its own customers: something real for memshed to look at.

    python3 examples/shop.py                until Ctrl-C or SIGTERM
    python3 examples/shop.py --seconds 30   for half a minute

The service holds what services hold: a catalogue in SQLite and in objects, caches that expire,
sessions, a queue of orders with worker threads, a log. A second process plays the customers over
loopback, at a bounded rate, and ends with the first. Standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import functools
import http.client
import http.server
import json
import logging
import queue
import random
import secrets
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.parse
from decimal import Decimal

log = logging.getLogger("shop")

ADJECTIVES = "amber bold calm dusty early fancy gentle hollow ivory jolly keen light".split()
NOUNS = "anchor basket candle drum easel flask globe hammer inkwell jar kettle lamp".split()
COUNTRIES = {"AT": 20, "DE": 19, "ES": 21, "FR": 20, "IT": 22, "NL": 21, "PL": 23, "SE": 25}


# --- the catalogue ------------------------------------------------------------------------------


class Product:
    """An article of the catalogue, with what customers wrote about it."""

    __slots__ = ("id", "name", "price", "tags", "reviews")

    def __init__(self, id: int, name: str, price: Decimal, tags: tuple[str, ...]):
        self.id = id
        self.name = name
        self.price = price
        self.tags = tags
        self.reviews: list[dict] = []

    def as_json(self) -> dict:
        return {
            "id": self.id,
            "name": self.name,
            "price": str(self.price),
            "tags": list(self.tags),
            "reviews": self.reviews[-3:],
        }


class Catalogue:
    """The products, in objects for reading and in SQLite for searching."""

    def __init__(self, products: int, dice: random.Random):
        self.products = {id: self._invent(id, dice) for id in range(1, products + 1)}
        self._lock = threading.Lock()
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._db.execute("create table product (id integer primary key, name text, stock integer)")
        self._db.executemany(
            "insert into product values (?, ?, 1000000)",
            ((product.id, product.name) for product in self.products.values()),
        )

    @staticmethod
    def _invent(id: int, dice: random.Random) -> Product:
        tags = tuple(dice.sample(ADJECTIVES, 3))
        name = f"{tags[0]} {dice.choice(NOUNS)} no. {id}"
        product = Product(id, name, Decimal(dice.randint(100, 20_000)) / 100, tags)
        for _ in range(dice.randint(0, 8)):
            product.reviews.append(
                {
                    "stars": dice.randint(1, 5),
                    "text": " ".join(dice.choices(ADJECTIVES + NOUNS, k=12)),
                    "on": datetime.date.fromordinal(dice.randint(737_000, 739_000)).isoformat(),
                }
            )
        return product

    def search(self, word: str) -> list[int]:
        """Ids of up to 20 products with `word` in their name."""
        with self._lock:
            rows = self._db.execute(
                "select id from product where name like ? order by id limit 20", (f"%{word}%",)
            ).fetchall()
        return [id for (id,) in rows]

    def take(self, id: int, pieces: int) -> None:
        """Takes pieces out of stock."""
        with self._lock, self._db:
            self._db.execute("update product set stock = stock - ? where id = ?", (pieces, id))


@functools.lru_cache(maxsize=4096)
def price_with_tax(price: Decimal, country: str) -> Decimal:
    """What a customer in `country` pays."""
    return (price * (100 + COUNTRIES[country]) / 100).quantize(Decimal("0.01"))


# --- caches and sessions ------------------------------------------------------------------------


class ExpiringCache:
    """A dictionary whose entries live for some seconds, and of which there are not too many."""

    def __init__(self, seconds: float, limit: int):
        self.seconds = seconds
        self.limit = limit
        self._entries: dict = {}
        self._lock = threading.Lock()

    def get(self, key, make):
        """The value for `key`; what `make()` returns if there is none, or none that is fresh."""
        now = time.monotonic()
        with self._lock:
            value, deadline = self._entries.get(key, (None, 0.0))
        if deadline > now:
            return value
        value = make()
        with self._lock:
            if len(self._entries) >= self.limit:
                self._evict(now)
            self._entries[key] = value, now + self.seconds
        return value

    def _evict(self, now: float) -> None:
        """Drops what has expired; the oldest tenth too if that is not enough."""
        alive = {key: entry for key, entry in self._entries.items() if entry[1] > now}
        surplus = len(alive) - self.limit * 9 // 10
        for key in list(alive)[: max(surplus, 0)]:
            del alive[key]
        self._entries = alive

    def __len__(self) -> int:
        return len(self._entries)


class Session:
    """A visitor: the cart and the pages seen."""

    def __init__(self, user: str, country: str):
        self.user = user
        self.country = country
        self.cart: dict[int, int] = {}
        self.seen: collections.deque[str] = collections.deque(maxlen=20)
        self.since = datetime.datetime.now()


class Order:
    """A cart that was bought."""

    def __init__(self, number: int, session: Session, lines: list[tuple[Product, int]]):
        self.number = number
        self.user = session.user
        self.country = session.country
        self.lines = lines
        self.total: Decimal | None = None


# --- the shop -----------------------------------------------------------------------------------


class Shop:
    """All that the service remembers, and what it does on request."""

    def __init__(self, products: int = 4000, visitors: int = 2000, workers: int = 3):
        dice = random.Random(20)
        self.catalogue = Catalogue(products, dice)
        self.pages = ExpiringCache(seconds=5.0, limit=3000)
        self.searches = ExpiringCache(seconds=30.0, limit=500)
        self.sessions: collections.OrderedDict[str, Session] = collections.OrderedDict()
        self.max_sessions = visitors * 2
        self.jobs: queue.Queue[Order] = queue.Queue(maxsize=1000)
        self.done: collections.deque[Order] = collections.deque(maxlen=5000)
        self.served: collections.Counter[str] = collections.Counter()
        self._orders = 0
        self._lock = threading.Lock()
        for number in range(visitors):
            session = self.sessions[self.enter(f"visitor{number}", dice.choice(list(COUNTRIES)))]
            for id in dice.sample(range(1, products + 1), 3):
                session.cart[id] = dice.randint(1, 3)
                session.seen.append(f"/products/{id}")
        for number in range(workers):
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True).start()

    def enter(self, user: str, country: str) -> str:
        """Opens a session, forgetting the oldest if there are too many; returns its token."""
        token = secrets.token_hex(16)
        with self._lock:
            self.sessions[token] = Session(user, country)
            while len(self.sessions) > self.max_sessions:
                self.sessions.popitem(last=False)
        return token

    def page(self, id: int) -> bytes:
        """A product's page, kept ready for some seconds."""
        product = self.catalogue.products[id]
        return self.pages.get(id, lambda: json.dumps(product.as_json()).encode())

    def search(self, word: str) -> list[int]:
        """Ids of products with `word` in their name."""
        return self.searches.get(word, lambda: self.catalogue.search(word))

    def add(self, session: Session, id: int, pieces: int) -> dict:
        """Puts pieces of a product into the cart."""
        product = self.catalogue.products[id]
        with self._lock:
            session.cart[id] = session.cart.get(id, 0) + pieces
            session.seen.append(f"/products/{id}")
        return {"items": len(session.cart), "price": str(price_with_tax(product.price, session.country))}

    def buy(self, session: Session) -> dict:
        """Turns the cart into an order for the workers."""
        with self._lock:
            self._orders += 1
            lines = [(self.catalogue.products[id], pieces) for id, pieces in session.cart.items()]
            session.cart = {}
            order = Order(self._orders, session, lines)
        self.jobs.put(order, timeout=5)
        return {"order": order.number, "lines": len(lines)}

    def _work(self) -> None:
        """A worker: totals orders and takes their products out of stock."""
        while True:
            order = self.jobs.get()
            prices = (price_with_tax(item.price, order.country) * n for item, n in order.lines)
            order.total = sum(prices, Decimal(0))
            for item, pieces in order.lines:
                self.catalogue.take(item.id, pieces)
            self.done.append(order)
            log.info("order %d of %s: %s", order.number, order.user, order.total)

    def stats(self) -> dict:
        """Counters."""
        return {
            "served": dict(self.served),
            "sessions": len(self.sessions),
            "pages": len(self.pages),
            "orders": len(self.done),
        }


class Handler(http.server.BaseHTTPRequestHandler):
    """HTTP in front of a shop."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 30
    shop: Shop

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        if url.path.startswith("/products/"):
            self._answer("product", lambda: self.shop.page(int(url.path.rpartition("/")[2])))
        elif url.path == "/search":
            word = urllib.parse.parse_qs(url.query).get("q", [""])[0]
            self._answer("search", lambda: self.shop.search(word))
        elif url.path == "/stats":
            self._answer("stats", self.shop.stats)
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        if self.path == "/sessions":
            self._answer("session", lambda: {"token": self.shop.enter(body["user"], body["country"])})
        elif self.path == "/cart":
            self._answer("cart", lambda: self.shop.add(self._session(), body["id"], body["pieces"]))
        elif self.path == "/orders":
            self._answer("order", lambda: self.shop.buy(self._session()))
        else:
            self.send_error(404)

    def _session(self) -> Session:
        return self.shop.sessions[self.headers["X-Session"]]

    def _answer(self, kind: str, make) -> None:
        """Sends what `make()` returns; 404 for what the shop does not know."""
        try:
            value = make()
        except (KeyError, ValueError):
            self.send_error(404)
            return
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.shop.served[kind] += 1
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args) -> None:
        log.debug(format, *args)


class RecentLog(logging.Handler):
    """Keeps the newest records in memory, for whoever asks."""

    def __init__(self, limit: int):
        super().__init__()
        self.records: collections.deque[logging.LogRecord] = collections.deque(maxlen=limit)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


# --- the customers ------------------------------------------------------------------------------


class Customer(threading.Thread):
    """Requests pages, fills a cart and buys, over one connection, at a steady rate."""

    def __init__(self, number: int, port: int, rate: float, stop: threading.Event):
        super().__init__(name=f"customer-{number}", daemon=True)
        self.dice = random.Random(number)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.pause = 1 / rate
        self.stop = stop
        self.token = ""
        self.seconds: list[float] = []
        self.failed = 0

    def run(self) -> None:
        due = time.monotonic()
        while not self.stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + self.pause, time.monotonic() - 1)
            started = time.monotonic()
            try:
                self._visit()
            except (OSError, http.client.HTTPException, ValueError, KeyError):
                self.connection.close()
                # The shop may close its doors while a request is under way.
                self.failed += not self.stop.wait(0.2)
            else:
                self.seconds.append(time.monotonic() - started)

    def _visit(self) -> None:
        """One request of a kind thrown with the dice."""
        throw, id = self.dice.random(), self.dice.randint(1, 4000)
        if not self.token or throw < 0.02:
            country = self.dice.choice(list(COUNTRIES))
            body = {"user": f"{self.name}-{id}", "country": country}
            self.token = self._request("POST", "/sessions", body)["token"]
        elif throw < 0.6:
            self._request("GET", f"/products/{id}")
        elif throw < 0.7:
            self._request("GET", f"/search?q={self.dice.choice(NOUNS)}+no.+{id % 40}")
        elif throw < 0.9:
            self._request("POST", "/cart", {"id": id, "pieces": 1})
        else:
            self._request("POST", "/orders", {})

    def _request(self, method: str, path: str, body: dict | None = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        self.connection.request(method, path, data, {"X-Session": self.token})
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            raise ValueError(f"{path}: status {response.status}")
        return answer


def visit(port: int, customers: int, rate: float) -> None:
    """The second process: plays the customers until standard input ends, then reports."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the shop decides when the day is over
    stop = threading.Event()
    crowd = [Customer(number, port, rate / customers, stop) for number in range(customers)]
    for customer in crowd:
        customer.start()
    sys.stdin.read()
    stop.set()
    for customer in crowd:
        customer.join(timeout=5)
    seconds = sorted(second for customer in crowd for second in customer.seconds)
    failed = sum(customer.failed for customer in crowd)
    if seconds:
        median, p99 = (seconds[int(len(seconds) * share)] * 1000 for share in (0.5, 0.99))
        print(f"customers: {len(seconds)} requests, {failed} failed, "
              f"median {median:.1f} ms, 99 % within {p99:.1f} ms", flush=True)
    else:
        print(f"customers: 0 requests, {failed} failed", flush=True)


# --- the day ------------------------------------------------------------------------------------


def serve(seconds: float | None, customers: int, rate: float) -> None:
    """Opens the shop, lets the customers in, and closes on time or on a signal."""
    closing = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: closing.set())
    logging.basicConfig(level=logging.INFO, handlers=[RecentLog(limit=2000)])
    Handler.shop = Shop()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port = server.server_address[1]
    threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
    # The customers leave when this end of the pipe closes, however the shop ends.
    crowd = subprocess.Popen(
        [sys.executable, __file__, "--visit", str(port),
         "--customers", str(customers), "--rate", str(rate)],
        stdin=subprocess.PIPE,
    )
    print(f"shop: open at http://127.0.0.1:{port}/stats", flush=True)
    closing.wait(seconds)
    crowd.communicate(timeout=30)
    server.shutdown()
    print(f"shop: closed, {json.dumps(Handler.shop.stats())}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, help="close after so long (default: on a signal)")
    parser.add_argument("--customers", type=int, default=4, help="connections (default: 4)")
    parser.add_argument("--rate", type=float, default=200, help="requests a second (default: 200)")
    parser.add_argument("--visit", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.visit:
        visit(options.visit, options.customers, options.rate)
    else:
        serve(options.seconds, options.customers, options.rate)


if __name__ == "__main__":
    main()
