"""Replicas of endpoints as processes of this machine: what they serve is prepared once, for all.

preparation    archive, code, interpreter and converted network, in a folder of the fleet's
launching      what one replica is told
processes      starts replicas, looks at them, ends them
"""
