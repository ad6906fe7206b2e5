"""SageMaker, S3, CloudWatch and their neighbours on one local port. Never imports torch."""
