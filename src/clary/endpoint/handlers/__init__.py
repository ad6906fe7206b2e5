"""People's handlers: `model_fn`, `input_fn`, `predict_fn`, `output_fn`, `transform_fn`.

    code_folder     finds and imports the script, with the modules beside it
    toolkit_names   what scripts import from SageMaker's toolkits by name
    functions       the script's functions, the framework's defaults for those it lacks
    calling         with the context or without, as a function's parameters say
    pytorch         the defaults of SageMaker's PyTorch container
    payloads        arrays from and to JSON, CSV, npy and npz
    context         what a handler may ask of its request, and say of its answer
    failures        errors that say which status they are
    loaded_model    a model with its handlers: from a request to an answer
    model_cache     several of them, the least recently used out

Only the standard library is imported here before people's code is; numpy, scipy and torch when
they are used.
"""
