"""The report: everything known of a run on one HTML page that needs no network.

material    reads the job directory
verdict     says how good it is and what to try next, from the figures
pictures    draws the worst mistakes with their heat maps, and what the network saw
curves, reliability, confusion, step_charts    draw figures
rules_section   what rules found, which can be put into a written page
card        writes the model card
page        puts it together with the templates
"""

from clary.jobs.report.page import write_report

__all__ = ["write_report"]
