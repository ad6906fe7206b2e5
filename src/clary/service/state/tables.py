"""The tables as queries name them. `migrations` makes them; a test holds the two together."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Integer, MetaData, Table, Text

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

models = Table(
    "models",
    _metadata,
    Column("number", Integer, primary_key=True),
    Column("name", Text),
    Column("arn", Text),
    Column("request", Text),
    Column("created_ms", Integer),
)

endpoint_configs = Table(
    "endpoint_configs",
    _metadata,
    Column("number", Integer, primary_key=True),
    Column("name", Text),
    Column("arn", Text),
    Column("request", Text),
    Column("created_ms", Integer),
)

endpoints = Table(
    "endpoints",
    _metadata,
    Column("number", Integer, primary_key=True),
    Column("name", Text),
    Column("arn", Text),
    Column("status", Text),
    Column("config_name", Text),
    Column("config", Text),
    Column("created_ms", Integer),
    Column("modified_ms", Integer),
    Column("fleet", Integer),
    Column("fleets", Integer),
    Column("variants", Text),
    Column("pending", Text),
    Column("deployment", Text),
    Column("failure", Text),
)

replicas = Table(
    "replicas",
    _metadata,
    Column("number", Integer, primary_key=True),
    Column("endpoint", Integer),
    Column("fleet", Integer),
    Column("variant", Text),
    Column("instance", Text),
    Column("created_ms", Integer),
    Column("status", Text),
    Column("shadow", Boolean),
    Column("port", Integer),
    Column("ready_ms", Integer),
    Column("ended_ms", Integer),
    Column("failure", Text),
)

async_invocations = Table(
    "async_invocations",
    _metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text),
    Column("endpoint", Text),
    Column("endpoint_number", Integer),
    Column("variant", Text),
    Column("request", Text),
    Column("created_ms", Integer),
    Column("expires_ms", Integer),
    Column("status", Text),
    Column("started_ms", Integer),
    Column("attempts", Integer),
)

transform_jobs = Table(
    "transform_jobs",
    _metadata,
    Column("number", Integer, primary_key=True),
    Column("name", Text),
    Column("arn", Text),
    Column("request", Text),
    Column("model", Text),
    Column("created_ms", Integer),
    Column("modified_ms", Integer),
    Column("status", Text),
    Column("phase", Text),
    Column("started_ms", Integer),
    Column("ended_ms", Integer),
    Column("stop_asked_ms", Integer),
    Column("launched", Boolean),
    Column("failure", Text),
)

scalable_targets = Table(
    "scalable_targets",
    _metadata,
    Column("number", Integer, primary_key=True),
    Column("name", Text),
    Column("arn", Text),
    Column("minimum", Integer),
    Column("maximum", Integer),
    Column("role", Text),
    Column("suspended", Text),
    Column("created_ms", Integer),
)

scaling_policies = Table(
    "scaling_policies",
    _metadata,
    Column("number", Integer, primary_key=True),
    Column("name", Text),
    Column("policy", Text),
    Column("arn", Text),
    Column("resource", Text),
    Column("configuration", Text),
    Column("created_ms", Integer),
    Column("last_out_ms", Integer),
    Column("last_in_ms", Integer),
)

scaling_activities = Table(
    "scaling_activities",
    _metadata,
    Column("number", Integer, primary_key=True),
    Column("activity", Text),
    Column("resource", Text),
    Column("description", Text),
    Column("cause", Text),
    Column("started_ms", Integer),
    Column("status", Text),
    Column("ended_ms", Integer),
    Column("message", Text),
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
