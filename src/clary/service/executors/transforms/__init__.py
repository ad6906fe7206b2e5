"""Batch transform jobs as processes of this machine: a host for each instance, with a replica.

jobs         what a job asks for, as its executor needs it
plans        what each host is told
results      outputs into their bucket, and what is captured
processes    prepares, starts, looks, ends, stores

transforms/<job>/prepared/           the model, for all hosts
transforms/<job>/hosts/<instance>/   one host: `clary.formats.transform_plan`
"""
