"""Endpoints from their creation to their end: which replicas there are, and which fleet serves.

    supervisor    the thread, and what others ask of it
    rounds        all endpoints, one after the other
    conducting    one endpoint: its fleets, its updates, its end
    transitions   how an endpoint moves from status to status
    services      what a configuration asks of the replicas of a variant
    crews         the replicas of one variant: as many as wanted, replaced when they die
    members       one replica: it comes up, serves, drains, ends
    measuring     what the processes of replicas use
    gpu_choice    which GPU a replica gets
    leavings      what replicas leave behind
    many_models   fetches the models of multi-model endpoints
    spare_models  which of them make room for others
    autoscaling   how many instances a policy asks for
    workplace     what all of them work with

Operations ask by changing an endpoint's record and waking the supervisor.
"""
