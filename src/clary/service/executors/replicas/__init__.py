"""Replicas of endpoints as processes of this machine.

    preparation    archive, code, interpreter and converted network, in a folder of the fleet's
    launching      what one replica is told
    processes      starts replicas, looks at them, ends them

What they serve is prepared once for all replicas of a variant.
"""
