"""The rules of the debugger."""
