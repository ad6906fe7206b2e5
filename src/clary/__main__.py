"""Lets `python -m clary` do what the `clary` command does."""

from clary.cli.main import main

if __name__ == "__main__":
    main()
