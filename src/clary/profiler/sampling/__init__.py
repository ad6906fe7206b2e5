"""The machine and a job's processes, sampled beside the training."""
