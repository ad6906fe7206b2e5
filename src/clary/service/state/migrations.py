"""The database's schema as a numbered list of steps; a step that was released never changes.

`PRAGMA user_version` counts the steps that a file has been through.
"""

from __future__ import annotations

from collections.abc import Sequence

_TRAINING_JOBS_TAGS_METRICS_LOGS = (
    """
    CREATE TABLE training_jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        arn TEXT NOT NULL,
        request TEXT NOT NULL,
        updates TEXT NOT NULL,
        status TEXT NOT NULL,
        secondary TEXT NOT NULL,
        transitions TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        modified_ms INTEGER NOT NULL,
        started_ms INTEGER,
        running_ms INTEGER,
        ended_ms INTEGER,
        stop_asked_ms INTEGER,
        stop_cause TEXT,
        launched INTEGER NOT NULL,
        failure TEXT,
        model_artifacts TEXT,
        output_artifacts TEXT,
        final_metrics TEXT NOT NULL,
        log_offsets TEXT NOT NULL
    )
    """,
    "CREATE INDEX training_jobs_by_status ON training_jobs (status, number)",
    "CREATE INDEX training_jobs_by_creation ON training_jobs (created_ms, number)",
    """
    CREATE TABLE tags (
        arn TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (arn, key)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE metrics (
        id INTEGER PRIMARY KEY,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        dimensions TEXT NOT NULL,
        last_ms INTEGER NOT NULL,
        UNIQUE (namespace, name, dimensions)
    )
    """,
    """
    CREATE TABLE metric_values (
        metric INTEGER NOT NULL REFERENCES metrics (id) ON DELETE CASCADE,
        timestamp_ms INTEGER NOT NULL,
        count REAL NOT NULL,
        sum REAL NOT NULL,
        minimum REAL NOT NULL,
        maximum REAL NOT NULL,
        unit TEXT NOT NULL
    )
    """,
    "CREATE INDEX metric_values_by_time ON metric_values (metric, timestamp_ms)",
    """
    CREATE TABLE step_metrics (
        resource TEXT NOT NULL,
        name TEXT NOT NULL,
        timestamp_ms INTEGER NOT NULL,
        step INTEGER,
        value REAL NOT NULL
    )
    """,
    "CREATE INDEX step_metrics_by_time ON step_metrics (resource, name, timestamp_ms)",
    """
    CREATE TABLE log_groups (
        name TEXT PRIMARY KEY,
        created_ms INTEGER NOT NULL,
        retention_days INTEGER
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE log_streams (
        log_group TEXT NOT NULL REFERENCES log_groups (name) ON DELETE CASCADE,
        name TEXT NOT NULL,
        path TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        PRIMARY KEY (log_group, name)
    ) WITHOUT ROWID
    """,
)

_TUNING_JOBS = (
    """
    CREATE TABLE tuning_jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        arn TEXT NOT NULL,
        request TEXT NOT NULL,
        status TEXT NOT NULL,
        phase TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        modified_ms INTEGER NOT NULL,
        ended_ms INTEGER,
        trials INTEGER NOT NULL,
        completion TEXT,
        failure TEXT,
        parents TEXT NOT NULL
    )
    """,
    "CREATE INDEX tuning_jobs_by_status ON tuning_jobs (status, number)",
    "ALTER TABLE training_jobs ADD COLUMN tuning_number INTEGER",
    "ALTER TABLE training_jobs ADD COLUMN trial_number INTEGER",
    "ALTER TABLE training_jobs ADD COLUMN trial TEXT",
    # A trial outlives its tuning job; numbers of tuning jobs are never given twice.
    """
    CREATE UNIQUE INDEX training_jobs_by_trial ON training_jobs (tuning_number, trial_number)
        WHERE tuning_number IS NOT NULL
    """,
    # The curves of trials; a value that is not finite is NULL. What is read goes on after the last
    # id that was read: none is given twice.
    """
    CREATE TABLE objective_values (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        job INTEGER NOT NULL REFERENCES training_jobs (number) ON DELETE CASCADE,
        host TEXT NOT NULL,
        value REAL
    )
    """,
    "CREATE INDEX objective_values_by_job ON objective_values (job, id)",
)

_RULE_EVALUATIONS = (
    """
    CREATE TABLE rule_evaluations (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        arn TEXT NOT NULL,
        job INTEGER NOT NULL REFERENCES training_jobs (number) ON DELETE CASCADE,
        training_job TEXT NOT NULL,
        kind TEXT NOT NULL,
        position INTEGER NOT NULL,
        configuration TEXT NOT NULL,
        rule TEXT NOT NULL,
        status TEXT NOT NULL,
        details TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        modified_ms INTEGER NOT NULL,
        started_ms INTEGER,
        ended_ms INTEGER,
        actions TEXT NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX rule_evaluations_by_job ON rule_evaluations (job, kind, position)",
)

_HOSTING = (
    """
    CREATE TABLE models (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        arn TEXT NOT NULL,
        request TEXT NOT NULL,
        created_ms INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE endpoint_configs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        arn TEXT NOT NULL,
        request TEXT NOT NULL,
        created_ms INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE endpoints (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        arn TEXT NOT NULL,
        status TEXT NOT NULL,
        config_name TEXT NOT NULL,
        config TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        modified_ms INTEGER NOT NULL,
        fleet INTEGER NOT NULL,
        fleets INTEGER NOT NULL,
        variants TEXT NOT NULL,
        pending TEXT,
        deployment TEXT,
        failure TEXT
    )
    """,
    """
    CREATE TABLE replicas (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        endpoint INTEGER NOT NULL REFERENCES endpoints (number) ON DELETE CASCADE,
        fleet INTEGER NOT NULL,
        variant TEXT NOT NULL,
        instance TEXT NOT NULL UNIQUE,
        created_ms INTEGER NOT NULL,
        status TEXT NOT NULL,
        shadow INTEGER NOT NULL,
        port INTEGER,
        ready_ms INTEGER,
        ended_ms INTEGER,
        failure TEXT
    )
    """,
    "CREATE INDEX replicas_by_status ON replicas (status, number)",
    "CREATE INDEX replicas_by_endpoint ON replicas (endpoint, number)",
    """
    CREATE TABLE async_invocations (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        endpoint TEXT NOT NULL,
        endpoint_number INTEGER NOT NULL REFERENCES endpoints (number) ON DELETE CASCADE,
        variant TEXT,
        request TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER NOT NULL,
        status TEXT NOT NULL,
        started_ms INTEGER,
        attempts INTEGER NOT NULL
    )
    """,
    "CREATE INDEX async_invocations_by_endpoint ON async_invocations (endpoint_number, status)",
    """
    CREATE TABLE transform_jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        arn TEXT NOT NULL,
        request TEXT NOT NULL,
        model TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        modified_ms INTEGER NOT NULL,
        status TEXT NOT NULL,
        phase TEXT NOT NULL,
        started_ms INTEGER,
        ended_ms INTEGER,
        stop_asked_ms INTEGER,
        launched INTEGER NOT NULL,
        failure TEXT
    )
    """,
    "CREATE INDEX transform_jobs_by_status ON transform_jobs (status, number)",
    """
    CREATE TABLE scalable_targets (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        arn TEXT NOT NULL,
        minimum INTEGER NOT NULL,
        maximum INTEGER NOT NULL,
        role TEXT NOT NULL,
        suspended TEXT NOT NULL,
        created_ms INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE scaling_policies (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        policy TEXT NOT NULL,
        arn TEXT NOT NULL,
        resource TEXT NOT NULL,
        configuration TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        last_out_ms INTEGER,
        last_in_ms INTEGER
    )
    """,
    """
    CREATE TABLE scaling_activities (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        activity TEXT NOT NULL,
        resource TEXT NOT NULL,
        description TEXT NOT NULL,
        cause TEXT NOT NULL,
        started_ms INTEGER NOT NULL,
        status TEXT NOT NULL,
        ended_ms INTEGER,
        message TEXT
    )
    """,
    "CREATE INDEX scaling_activities_by_resource ON scaling_activities (resource, number)",
)

MIGRATIONS: Sequence[Sequence[str]] = (
    _TRAINING_JOBS_TAGS_METRICS_LOGS,
    _TUNING_JOBS,
    _RULE_EVALUATIONS,
    _HOSTING,
)
