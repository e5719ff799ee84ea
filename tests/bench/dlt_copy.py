"""Copies the benchmark's table with dlt; run by the Python that has dlt."""

from __future__ import annotations

import sys

import dlt
from dlt.sources.sql_database import sql_table


def main(source: str, target: str, folder: str) -> None:
    """From one database into a schema of its own in the other."""
    pipeline = dlt.pipeline(
        pipeline_name="bench",
        destination=dlt.destinations.postgres(target),
        dataset_name="bench_dlt",
        pipelines_dir=folder,
    )
    table = sql_table(
        credentials=source.replace("postgresql:", "postgresql+psycopg2:", 1),
        table="customers",
        backend="pyarrow",
        chunk_size=50_000,
    )
    pipeline.run(table, write_disposition="replace", loader_file_format="csv")


if __name__ == "__main__":
    main(*sys.argv[1:4])
