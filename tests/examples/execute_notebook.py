"""Runs all cells of a notebook, as a person does who opens it: execute_notebook.py FILE KERNEL.

The file is replaced by the executed notebook, with what its cells gave out and when they ran,
also when one of them fails; the rest is not run then.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

file = Path(sys.argv[1])
notebook = nbformat.read(file, as_version=4)
client = NotebookClient(
    notebook,
    kernel_name=sys.argv[2],
    timeout=None,
    resources={"metadata": {"path": str(file.parent)}},
)
try:
    client.execute()
except CellExecutionError as error:
    print(error, file=sys.stderr)
    sys.exit(1)
finally:
    nbformat.write(notebook, file)
