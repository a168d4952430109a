"""Opens the snapshot named on the command line with DuckDB and with Polars.

The heap is `example(300_000)` of heaps.rs: object i refers to i + 1 and to i % 2.
"""

import os
import sys

import duckdb
import polars

snapshot = sys.argv[1]
OBJECTS = 300_000
EDGES = 2 * (OBJECTS - 1)
SIGNED = {"INTEGER", "BIGINT", "DOUBLE", "BOOLEAN", "VARCHAR"}


def table(name):
    return os.path.join(snapshot, name + ".parquet")


names = sorted(n[:-8] for n in os.listdir(snapshot) if n.endswith(".parquet"))
assert len(names) == 23, names

database = duckdb.connect()


def sql(query):
    return database.execute(query).fetchall()


for name in names:
    for column, kind, *_ in sql(f"DESCRIBE SELECT * FROM '{table(name)}'"):
        assert kind in SIGNED, (name, column, kind)
    # Every value is decoded, not only counted.
    sql(f"SELECT * FROM '{table(name)}'")
    unsigned = sql(
        f"SELECT name, converted_type FROM parquet_schema('{table(name)}') "
        "WHERE converted_type LIKE 'UINT%'"
    )
    assert not unsigned, unsigned

assert sql(f"SELECT count(*) FROM '{table('objects')}'") == [(OBJECTS,)]
assert sql(f"SELECT count(*) FROM '{table('edges')}'") == [(EDGES,)]
joined = sql(
    f"""
    SELECT t.name, e.kind, e.name, count(*), sum(s.size)
    FROM '{table("edges")}' e
    JOIN '{table("objects")}' s ON s.object_id = e.source
    JOIN '{table("objects")}' o ON o.object_id = e.target
    JOIN '{table("types")}' t ON t.type_id = o.type_id
    WHERE e.kind = 'key' GROUP BY ALL ORDER BY ALL
    """
)
assert [(row[0], row[1], row[2]) for row in joined] == [
    ("app.Row", "key", "café_漢"),
    ("dict", "key", "café_漢"),
], joined
assert sum(row[3] for row in joined) == len(range(1, OBJECTS - 1, 3)), joined
immortal = sql(f"SELECT object_id FROM '{table('objects')}' WHERE refcount IS NULL")
assert immortal == [(0,)], immortal
mentions = sql(f"SELECT object, name, free FROM '{table('mentions')}' ORDER BY ALL")
assert [row[0] for row in mentions] == [1] * 4, mentions
assert sorted(row[2] for row in mentions) == [False, False, True, True], mentions
assert sql(f"SELECT pid, python FROM '{table('process')}'") == [(4242, "3.12.1")]

frames = {name: polars.read_parquet(table(name)) for name in names}
for name, frame in frames.items():
    for column, kind in frame.schema.items():
        assert kind in (
            polars.Int32,
            polars.Int64,
            polars.Float64,
            polars.Boolean,
            polars.String,
        ), (name, column, kind)
assert frames["objects"].height == OBJECTS
assert frames["edges"].height == EDGES
found = (
    frames["edges"]
    .filter(polars.col("kind") == "key")
    .join(frames["objects"], left_on="target", right_on="object_id")
    .join(frames["types"], on="type_id", suffix="_of_type")
    .group_by("name_of_type")
    .len()
    .sort("name_of_type")
    .rows()
)
assert found == [(row[0], row[3]) for row in joined], (found, joined)
assert frames["objects"]["holder_name"].to_list()[1] == "café_漢"
print("duckdb polars")
