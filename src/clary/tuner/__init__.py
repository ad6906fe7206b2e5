"""The search for better hyperparameters: ranges, strategies and stopping rules, without any I/O."""
