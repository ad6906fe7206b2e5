"""Runs a script's cells in a real kernel, as a notebook does; its `# %%` lines part them."""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

script = Path(sys.argv[1])
cells = [cell.strip() for cell in script.read_text().split("# %%\n") if cell.strip()]
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
try:
    NotebookClient(notebook, timeout=900, kernel_name="python3").execute()
except CellExecutionError as error:
    print(error, file=sys.stderr)
    sys.exit(1)
finally:
    nbformat.write(notebook, script.with_suffix(".ipynb").name)
pictures = 0
for cell in notebook.cells:
    for output in cell.outputs:
        if output.output_type == "stream":
            print(output.text, end="", file=sys.stdout if output.name == "stdout" else sys.stderr)
        elif "image/png" in output.get("data", {}):
            pictures += 1
print("PICTURES", pictures)
