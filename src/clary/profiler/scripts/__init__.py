"""Scripts that know nothing of it: where torch is asked, and what a step is."""
