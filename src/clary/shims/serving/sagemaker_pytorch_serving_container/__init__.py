"""What scripts take from SageMaker's PyTorch container: its defaults."""
