"""The process that stands for one machine of a job: `python -m clary.jobs.host LAUNCH`.

    namespace      a private /opt/ml
    user_code      the child: the user's program, by exec or inside a fork that has torch loaded
    log_writer     what the child prints, line by line, with the time
    machine_watch  samples the machine meanwhile, where the job is profiled
    pipes          channels in Pipe mode
    failures       the reason, as SageMaker's training toolkit words it
    life           from the launch to the end file

The standard library only, so that the first line of user code is not waiting for imports.
"""
