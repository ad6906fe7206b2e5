"""The file of the state: its schema, its upgrades, and what it says when it is damaged."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from clary.errors import StorageError
from clary.service.state import migrations, tables
from clary.service.state.database import Database
from clary.service.state.state import State


def test_migrations_make_the_tables_that_queries_name(tmp_path: Path) -> None:
    State(tmp_path / "state.sqlite").close()
    found = inspect(create_engine(f"sqlite:///{tmp_path / 'state.sqlite'}"))
    named = {table.name: table for table in tables.TABLES}
    assert set(found.get_table_names()) - {"sqlite_sequence"} == set(named)
    for name, table in named.items():
        made = [column["name"] for column in found.get_columns(name)]
        assert made == [column.name for column in table.columns]
        keys = found.get_pk_constraint(name)["constrained_columns"]
        assert keys == [column.name for column in table.primary_key]


def test_only_missing_steps_are_taken_and_what_is_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.sqlite"
    state = State(path)
    state.tags.add("arn", {"key": "value"}, 50)
    state.close()
    step = ("ALTER TABLE tags ADD COLUMN note TEXT NOT NULL DEFAULT ''",)
    monkeypatch.setattr("clary.service.state.database.MIGRATIONS", (*migrations.MIGRATIONS, step))
    for _ in range(2):
        state = State(path)
        assert state.tags.of("arn") == {"key": "value"}
        state.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (
            len(migrations.MIGRATIONS) + 1,
        )
        assert connection.execute("SELECT note FROM tags").fetchall() == [("",)]


def test_a_step_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.sqlite"
    State(path).close()
    steps = (("CREATE TABLE half (x)", "CREATE TABLE tags (again)"),)
    monkeypatch.setattr("clary.service.state.database.MIGRATIONS", (*migrations.MIGRATIONS, *steps))
    with pytest.raises(StorageError, match="table tags already exists"):
        State(path)
    monkeypatch.undo()
    State(path).close()
    with sqlite3.connect(path) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert "half" not in names


def test_a_later_schema_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    State(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    known = len(migrations.MIGRATIONS)
    with pytest.raises(StorageError, match=f"has schema 999 and this Clary knows up to {known}:"):
        State(path)


@pytest.mark.parametrize("damage", ["text", "header", "page"])
def test_a_damaged_file_is_told_and_left_as_it_is(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "state.sqlite"
    state = State(path)
    for number in range(200):
        state.tags.add(f"arn-{number}", {"key": "value" * 50}, 50)
    state.close()
    content = bytearray(path.read_bytes())
    if damage == "text":
        content = bytearray(b"these are my notes\n" * 100)
    elif damage == "header":
        content[:16] = bytes(16)
    else:
        content[4096 * 3 : 4096 * 12] = b"\xff" * (4096 * 9)
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"is damaged .* is left as it is"):
        State(path)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        State(tmp_path / "file" / "state.sqlite")


def test_writers_take_turns_and_readers_do_not_wait(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.sqlite")
    with database.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE counts (n INTEGER)")
        connection.exec_driver_sql("INSERT INTO counts VALUES (0)")

    def count() -> None:
        for _ in range(25):
            with database.writing() as connection:
                n = connection.exec_driver_sql("SELECT n FROM counts").scalar_one()
                connection.exec_driver_sql(f"UPDATE counts SET n = {n + 1}")

    threads = [threading.Thread(target=count) for _ in range(8)]
    with database.reading() as before:
        assert before.exec_driver_sql("SELECT n FROM counts").scalar_one() == 0
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert before.exec_driver_sql("SELECT n FROM counts").scalar_one() == 0
    with database.reading() as after:
        assert after.exec_driver_sql("SELECT n FROM counts").scalar_one() == 200
    database.close()


def test_what_fails_half_way_is_not_stored(tmp_path: Path) -> None:
    state = State(tmp_path / "state.sqlite")

    def fail() -> dict[str, str]:
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError), state._database.writing() as connection:
        connection.execute(tables.tags.insert().values(arn="a", key="k", value="v"))
        fail()
    assert state.tags.of("a") == {}
    state.close()
