"""The report on a tuning job: one HTML page that needs no network.

findings    what the figures and the verdict are computed from: which trials count, how good each is
objective   how values of the objective are compared, written and placed
verdict     says what won, what mattered and what to try next
axes        positions and ticks on the scale of a range
history, parallel, slices, learning    draw figures
tables      ranges and trials in rows
page        puts it together with the templates
"""

from clary.jobs.tuning_report.page import write_report

__all__ = ["write_report"]
