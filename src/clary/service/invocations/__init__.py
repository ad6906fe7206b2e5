"""From a request for an endpoint to its answer: the data plane."""
