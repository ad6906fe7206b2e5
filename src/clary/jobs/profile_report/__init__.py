"""The report of the profiler: where a job's time went, on one HTML page that needs no network.

material       what all parts are made of: the profile, where its time went, what to change
verdict        the headline, the tiles and the advice
envelopes      long series in few points, without losing what was lowest and highest
resources      what the machine did, as series and in figures
job_bar, step_lane, lanes, cores    the job over time: its parts, its steps, its machine
step_bar, step_lengths   what a step is made of, and how long steps take
operators, loading, memory, rules_table    what stands in the sections of these names
comparison     two jobs beside each other
page           puts it together with the templates
rule_files, notebook     the same for programs and notebooks, as SageMaker lays it out
"""

from clary.jobs.profile_report.page import write_page
from clary.jobs.profile_report.report_folder import write_profile_report

__all__ = ["write_page", "write_profile_report"]
