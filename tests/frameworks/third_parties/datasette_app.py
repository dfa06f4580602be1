"""Datasette over one table of fruit."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from datasette.app import Datasette
from stacked import stacked


def fruit() -> str:
    """Make the database and give its path."""
    path = str(Path(os.environ["TEST_FOLDER"]) / "shop.db")
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE fruit (id INTEGER PRIMARY KEY, name TEXT)")
    connection.executemany("INSERT INTO fruit (name) VALUES (?)", [(f"fruit {number}",) for number in range(50)])
    connection.commit()
    connection.close()
    return path


app = stacked(Datasette([fruit()]).app(), exempt=["/-/static/**"])
