"""Programs whose memory is accounted for: account.py bare | pandas | server | numpy [GB]

Prints "ready" and waits for the end of its input. "server" serves HTTP on a port that it prints
("port N"), from threads, and is asked a few hundred times by itself before it is ready.
"""

import sys


def pandas_job():
    import numpy
    import pandas

    rng = numpy.random.default_rng(1)
    rows = 400_000
    frame = pandas.DataFrame(
        {
            "key": rng.integers(0, 500, rows),
            "value": rng.random(rows),
            "name": [f"name {i % 977}" for i in range(rows)],
        }
    )
    sums = frame.groupby("key").agg({"value": ["mean", "sum"]})
    return frame, sums, frame.merge(frame.groupby("name").size().rename("n"), on="name")


def server():
    import http.client
    import http.server
    import json
    import threading

    cache = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            number = len(cache)
            cache[self.path + str(number)] = {"number": number, "text": "x" * 700}
            body = json.dumps(list(cache)[-20:]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    port = serving.server_address[1]

    def ask(times):
        for i in range(times):
            with_this = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            with_this.request("GET", f"/item/{i}")
            assert with_this.getresponse().read()
            with_this.close()

    askers = [threading.Thread(target=ask, args=(100,)) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    idle = [threading.Thread(target=threading.Event().wait, daemon=True) for _ in range(20)]
    for thread in idle:
        thread.start()
    return serving, cache, idle


def numpy_job(gigabytes):
    import numpy

    arrays = []
    each = 1 << 27
    for _ in range(int(float(gigabytes) * (1 << 30) / each)):
        arrays.append(numpy.ones(each // 8))
    small = [numpy.arange(100 + i % 50) for i in range(50_000)]
    return arrays, small


def main():
    kind = sys.argv[1]
    if kind == "pandas":
        kept = pandas_job()
    elif kind == "server":
        kept = server()
    elif kind == "numpy":
        kept = numpy_job(sys.argv[2])
    else:
        kept = None
    print("ready", flush=True)
    sys.stdin.read()
    return kept


main()
