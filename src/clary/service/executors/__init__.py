"""Where jobs run: one protocol, local processes behind it."""
