"""A job that reads rows into a data frame and works on it: service_pandas.py [--intern] [--child]

--intern  one string of each city and state
--child   the rows are read in a child process
"""

import concurrent.futures
import json
import multiprocessing
import sys

import pandas as pd

import talk

DTYPES = {"id": "int64", "city": object, "state": object, "value": "float64"}
one = sys.intern if "--intern" in sys.argv else str


def read():
    columns = {"id": [], "city": [], "state": [], "value": []}
    for n in range(250_000):
        row = json.loads(json.dumps([n, "the city called %d" % (n % 900), "state %d" % (n % 30), n / 7]))
        for column, value in zip(columns.values(), row):
            column.append(one(value) if isinstance(value, str) else value)
    return pd.DataFrame({name: pd.Series(values, dtype=DTYPES[name]) for name, values in columns.items()})


def main():
    global frame
    if "--child" in sys.argv:
        spawn = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as child:
            frame = child.submit(read).result()
    else:
        frame = read()
    talk.in_background(work)
    talk.answer(clock)


def work():
    while True:
        frame.groupby("city")["value"].agg(["sum", "mean"]).sort_values("sum")
        clock.rounds += 1


clock = talk.Clock()
if __name__ == "__main__":
    main()
