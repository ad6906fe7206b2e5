"""What Application Auto Scaling is asked to keep in bounds, how, and what it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from clary.service.state.database import Database
from clary.service.state.records import NamedRecords, Records
from clary.service.state.tables import scalable_targets, scaling_activities, scaling_policies

# Activities are kept as long as Application Auto Scaling does: six weeks.
KEPT_MS = 42 * 24 * 3600 * 1000


@dataclass(frozen=True)
class ScalableTarget:
    """Bounds for the instances of a variant. Times are milliseconds since 1970.

    `name` is the resource's id, `endpoint/NAME/variant/VARIANT`. `suspended` has the members of
    SuspendedState.
    """

    name: str
    arn: str
    minimum: int
    maximum: int
    role: str
    suspended: Mapping[str, bool]
    created_ms: int
    number: int = 0


@dataclass(frozen=True)
class ScalingPolicy:
    """A target tracking policy. Times are milliseconds since 1970.

    `name` is unique among all policies, as `RESOURCE policy NAME`: `policy` is what people call
    it. `configuration` is TargetTrackingScalingPolicyConfiguration. The last times are when the
    policy last let the variant grow and shrink.
    """

    name: str
    policy: str
    arn: str
    resource: str
    configuration: Mapping[str, Any]
    created_ms: int
    last_out_ms: int | None = None
    last_in_ms: int | None = None
    number: int = 0


@dataclass(frozen=True)
class ScalingActivity:
    """One change of a variant's instances that was made. Times are milliseconds since 1970.

    `status` is as DescribeScalingActivities says it (InProgress, Successful, Failed, …).
    """

    activity: str
    resource: str
    description: str
    cause: str
    started_ms: int
    status: str = "InProgress"
    ended_ms: int | None = None
    message: str | None = None
    number: int = 0


class ScalableTargets(NamedRecords[ScalableTarget]):
    """The registered targets, by their resource. Any thread may call any method."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, scalable_targets, ScalableTarget, {"suspended": dict})


class ScalingPolicies(NamedRecords[ScalingPolicy]):
    """The policies. Any thread may call any method."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, scaling_policies, ScalingPolicy, {"configuration": dict})

    def of(self, resource: str) -> list[ScalingPolicy]:
        """The policies of a target, the oldest first.

        Raises:
            StorageError: the database cannot be read.
        """
        with self._database.reading() as connection:
            return self.select_within(connection, scaling_policies.c.resource == resource)


class ScalingActivities(Records[ScalingActivity]):
    """What was done. Any thread may call any method."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, scaling_activities, ScalingActivity, {})

    def add(self, activity: ScalingActivity) -> ScalingActivity:
        """Store an activity, and forget those that are too old; it with its number.

        Raises:
            StorageError: the database cannot be written.
        """
        old = scaling_activities.c.started_ms < activity.started_ms - KEPT_MS
        with self._database.writing() as connection:
            connection.execute(delete(scaling_activities).where(old))
            return self.add_within(connection, activity)

    def end(self, resource: str, status: str, message: str, at_ms: int) -> None:
        """Close the activities of a resource that are in progress.

        Raises:
            StorageError: the database cannot be written.
        """
        columns = scaling_activities.c
        query = (
            update(scaling_activities)
            .where(columns.resource == resource, columns.status == "InProgress")
            .values(status=status, message=message, ended_ms=at_ms)
        )
        with self._database.writing() as connection:
            connection.execute(query)

    def last(self, resource: str) -> ScalingActivity | None:
        """What was done last with a resource.

        Raises:
            StorageError: the database cannot be read.
        """
        columns = scaling_activities.c
        query = (
            select(scaling_activities)
            .where(columns.resource == resource)
            .order_by(columns.number.desc())
            .limit(1)
        )
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else self._record(row)

    def select(self, resource: str | None = None) -> list[ScalingActivity]:
        """The activities, or those of a resource, the newest first.

        Raises:
            StorageError: the database cannot be read.
        """
        columns = scaling_activities.c
        query = select(scaling_activities).order_by(columns.number.desc())
        if resource is not None:
            query = query.where(columns.resource == resource)
        with self._database.reading() as connection:
            return [self._record(row) for row in connection.execute(query)]


class Scaling:
    """Autoscaling's memory, a noun per table."""

    def __init__(self, database: Database) -> None:
        self.targets = ScalableTargets(database)
        self.policies = ScalingPolicies(database)
        self.activities = ScalingActivities(database)


def remove_within(connection: Connection, prefix: str) -> None:
    """Forget targets and policies of the resources with a prefix, as a part of a transaction."""
    for table, column in (
        (scalable_targets, scalable_targets.c.name),
        (scaling_policies, scaling_policies.c.resource),
    ):
        begins = func.substr(column, 1, len(prefix)) == prefix
        connection.execute(delete(table).where(begins))


def remove_policies_within(connection: Connection, resource: str) -> None:
    """Forget the policies of a target, as a part of a transaction."""
    chosen = scaling_policies.c.resource == resource
    connection.execute(delete(scaling_policies).where(chosen))
