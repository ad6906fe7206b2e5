"""Tags of anything that has an ARN."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert

from clary.service.state.database import Database
from clary.service.state.tables import tags


class Tags:
    """The stored tags. Any thread may call any method."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, arn: str) -> dict[str, str]:
        """The tags of a resource, by key, in the order of the keys.

        Raises:
            StorageError: the database cannot be read.
        """
        query = select(tags.c.key, tags.c.value).where(tags.c.arn == arn).order_by(tags.c.key)
        with self._database.reading() as connection:
            return {row.key: row.value for row in connection.execute(query)}

    def of_all(self) -> dict[str, dict[str, str]]:
        """All tags by ARN, then by key.

        Raises:
            StorageError: the database cannot be read.
        """
        found: dict[str, dict[str, str]] = {}
        with self._database.reading() as connection:
            for arn, key, value in connection.execute(select(tags)):
                found.setdefault(arn, {})[key] = value
        return found

    def add(self, arn: str, added: Mapping[str, str], limit: int) -> bool:
        """Set tags; False, and nothing is set, when there would be more than `limit`.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            query = select(tags.c.key).where(tags.c.arn == arn)
            if len({*connection.execute(query).scalars(), *added}) > limit:
                return False
            add_within(connection, arn, added)
            return True

    def remove(self, arn: str, keys: Iterable[str]) -> None:
        """Remove tags; keys that are not there are passed over.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            chosen = (tags.c.arn == arn) & tags.c.key.in_(list(keys))
            connection.execute(delete(tags).where(chosen))


def add_within(connection: Connection, arn: str, added: Mapping[str, str]) -> None:
    """Set tags as a part of a transaction."""
    for key, value in added.items():
        statement = insert(tags).values(arn=arn, key=key, value=value)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["arn", "key"], set_={"value": statement.excluded.value}
            )
        )


def remove_all_within(connection: Connection, arn: str) -> None:
    """Remove all tags of a resource as a part of a transaction."""
    connection.execute(delete(tags).where(tags.c.arn == arn))
