"""One process for many trials of a tuning job that share a frozen backbone: `clary.jobs.lane`.

    life         from the first launch to the last end
    reception    launches as they arrive, signals, and what libraries print
    hosted_job   a job whose host this process is: lock, log, end file
    pictures     data sets and what was seen of them, kept from trial to trial
    trials       the built-in algorithm for all of them: `clary.vision.finetuning.together`

The service hears and sees what it does of any host (`clary.formats.launch`): each job has its own
directory, log and end. A lane that is killed takes its jobs with it, as a host does its one.

Everything happens on one thread: long work asks the reception now and then.
"""
