"""Handlers that forgot the model: the endpoint is in service all the same."""


def predict_fn(input_object, model):
    return model(input_object)
