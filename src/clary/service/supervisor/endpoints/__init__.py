"""Endpoints from their creation to their end: which replicas there are, and which fleet serves.

transitions   how endpoints and replicas move from status to status
fleets        the variants that a fleet has, and what each is served from
crews         the replicas of one variant: as many as wanted, replaced when they die
conducting    one endpoint: its fleets, its updates, its end
rounds        all endpoints, one after the other
autoscaling   how many instances a policy asks for
supervisor    the thread, and what others ask of it
"""
