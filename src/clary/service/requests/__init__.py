"""What CreateTrainingJob and UpdateTrainingJob say, read by all that act on it."""
