"""The tables as queries name them. `migrations` makes them; a test holds the two together."""

from __future__ import annotations

from sqlalchemy import Column, Float, Integer, MetaData, Table, Text

_metadata = MetaData()

training_jobs = Table(
    "training_jobs",
    _metadata,
    Column("number", Integer, primary_key=True),
    Column("name", Text),
    Column("arn", Text),
    Column("request", Text),
    Column("updates", Text),
    Column("status", Text),
    Column("secondary", Text),
    Column("transitions", Text),
    Column("created_ms", Integer),
    Column("modified_ms", Integer),
    Column("started_ms", Integer),
    Column("running_ms", Integer),
    Column("ended_ms", Integer),
    Column("stop_asked_ms", Integer),
    Column("stop_cause", Text),
    Column("launched", Integer),
    Column("failure", Text),
    Column("model_artifacts", Text),
    Column("output_artifacts", Text),
    Column("final_metrics", Text),
    Column("log_offsets", Text),
    Column("tuning_number", Integer),
    Column("trial_number", Integer),
    Column("trial", Text),
)

objective_values = Table(
    "objective_values",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("job", Integer),
    Column("host", Text),
    Column("value", Float),
)

tuning_jobs = Table(
    "tuning_jobs",
    _metadata,
    Column("number", Integer, primary_key=True),
    Column("name", Text),
    Column("arn", Text),
    Column("request", Text),
    Column("status", Text),
    Column("phase", Text),
    Column("created_ms", Integer),
    Column("modified_ms", Integer),
    Column("ended_ms", Integer),
    Column("trials", Integer),
    Column("completion", Text),
    Column("failure", Text),
    Column("parents", Text),
)

rule_evaluations = Table(
    "rule_evaluations",
    _metadata,
    Column("number", Integer, primary_key=True),
    Column("name", Text),
    Column("arn", Text),
    Column("job", Integer),
    Column("training_job", Text),
    Column("kind", Text),
    Column("position", Integer),
    Column("configuration", Text),
    Column("rule", Text),
    Column("status", Text),
    Column("details", Text),
    Column("created_ms", Integer),
    Column("modified_ms", Integer),
    Column("started_ms", Integer),
    Column("ended_ms", Integer),
    Column("actions", Text),
)

tags = Table(
    "tags",
    _metadata,
    Column("arn", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text),
)

metrics = Table(
    "metrics",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("namespace", Text),
    Column("name", Text),
    Column("dimensions", Text),
    Column("last_ms", Integer),
)

metric_values = Table(
    "metric_values",
    _metadata,
    Column("metric", Integer),
    Column("timestamp_ms", Integer),
    Column("count", Float),
    Column("sum", Float),
    Column("minimum", Float),
    Column("maximum", Float),
    Column("unit", Text),
)

step_metrics = Table(
    "step_metrics",
    _metadata,
    Column("resource", Text),
    Column("name", Text),
    Column("timestamp_ms", Integer),
    Column("step", Integer),
    Column("value", Float),
)

log_groups = Table(
    "log_groups",
    _metadata,
    Column("name", Text, primary_key=True),
    Column("created_ms", Integer),
    Column("retention_days", Integer),
)

log_streams = Table(
    "log_streams",
    _metadata,
    Column("log_group", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("path", Text),
    Column("created_ms", Integer),
)

TABLES = tuple(_metadata.tables.values())
