"""Names of SageMaker's inference toolkits, for scripts that import them.

This folder is the last on the search path of an endpoint's workers and on no other: where people's
requirements bring the real toolkits, those are found first.
"""
