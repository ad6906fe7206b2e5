"""The rules of the profiler, by the names that SageMaker gives them."""
