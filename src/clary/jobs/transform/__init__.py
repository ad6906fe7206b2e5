"""One host of a batch transform job: `python -m clary.jobs.transform FOLDER`.

    __main__       starts the model server, feeds it, says how it went
    model_server   the replica that answers, as a child
    records        an object, split into records
    payloads       records, put together to requests
    model_client   one request, tried again where that may help
    processing     filters, joins, ids: from records and answers to what is stored
    feeding        all objects: several requests at once, outputs in order
    failures       why an object has no output

FOLDER holds what `clary.formats.transform_plan` and `clary.formats.replica` describe.
"""
