"""What hooks and trials share: modes, configurations, collections, tensors."""
