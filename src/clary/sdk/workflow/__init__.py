"""The whole workflow as one thing that goes on where it stopped: `clary run`.

    settings = Settings.from_environment()
    plan = WorkflowPlan.prepare("photos/", {"epochs": "5"}, settings)
    record = Workflow(plan, settings).run()
    print(record.of("deploy").found.endpoint)

Seven stages, a module for what belongs together. Each says what it depends on, and is kept while
that is the same and what it has made is still there.
"""
