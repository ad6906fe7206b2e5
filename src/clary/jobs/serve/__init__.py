"""A replica: `python -m clary.jobs.serve FOLDER` serves what `replica.json` of the folder says.

    parent     one thread; holds the listening sockets, so that the port outlives its children
      ├─ server process    HTTP, and the threads of a model of Clary's
      └─ script workers    people's handlers, where it serves those

The parent starts again what dies. SIGTERM or Ctrl-C: what was begun is answered, then it ends
with 0. It ends badly where the server cannot serve: its last line says why.
"""
