"""Steps, phases and looks into chosen steps, written by a thread of their own."""
