"""The programs that a process runs: `python -m clary.jobs.<name>`; nothing imports them by hand."""
