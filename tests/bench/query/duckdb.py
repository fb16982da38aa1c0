"""Answers SQL over Parquet files, one statement a line; stays warm between them.

Input: `answer<TAB>SQL` or `time<TAB>SQL`. Output: `ok<TAB>MS<TAB>ROWS`, then the
rows if they were asked for, or `error<TAB>MESSAGE`. Only execute and fetch are timed.
"""

import sys
import time

import duckdb


def text(value):
    return value.hex() if isinstance(value, bytes) else str(value)


def main():
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(
        f"CREATE VIEW f AS SELECT * FROM read_parquet('{sys.argv[1]}/**/*.parquet', hive_partitioning = false)"
    )
    print(duckdb.__version__, flush=True)
    for line in sys.stdin:
        kind, sql = line.rstrip("\n").split("\t", 1)
        try:
            start = time.perf_counter()
            rows = connection.execute(sql).fetchall()
            wall_ms = (time.perf_counter() - start) * 1000
        except duckdb.Error as error:
            print("error\t" + str(error).replace("\n", " "), flush=True)
            continue
        shown = rows if kind == "answer" else []
        print(f"ok\t{wall_ms}\t{len(shown)}")
        for row in shown:
            print("\t".join(text(value) for value in row))
        sys.stdout.flush()


main()
