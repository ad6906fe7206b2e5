"""Checks the rules of a job while it trains: `python -m clary.jobs.check_rules FOLDER`.

    watching     from the request to the last look: polls, stops, ends
    check        one rule: its status, its findings and its log
    judges       what judges tensors: a rule of Clary's, or a custom one
    profiles     what judges where a job's time goes, and writes the report of it
    custom       loads a class from a person's file
    smdebug_rule lets a rule that was written for SageMaker's library judge

What it is told and writes stands in `clary.formats.rule_request` and `clary.formats.findings`. It
reads with numpy alone and never loads torch; it touches nothing of the training. A request is of
one kind, `debug` or `profiler`, which share all but the judges.
"""
