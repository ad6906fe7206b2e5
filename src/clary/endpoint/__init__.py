"""From a model folder to answers over HTTP: the inference server.

    client → server      HTTP: /ping, /invocations, /metrics
           → admission   a bounded queue and a deadline; more than fits is refused at once
           → backend     what answers
                pictures: threads, each on a network of its own, that take what waits as one batch
                script:   processes that run people's `model_fn`, `predict_fn` and the like

Nothing here imports torch but what runs a network in it, so that a server is up in a second.
"""
