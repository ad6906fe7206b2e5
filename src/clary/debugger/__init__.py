"""Why a training goes wrong: a hook that watches it, its history, and rules that judge it."""
