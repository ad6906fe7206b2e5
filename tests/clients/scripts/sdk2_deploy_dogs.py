"""A notebook on dog breeds: train, deploy a script of its own, ask about photos, delete."""

import glob
import json
import os
import sys

import numpy as np
import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.predictor import Predictor
from sagemaker.pytorch import PyTorch, PyTorchModel
from sagemaker.serializers import IdentitySerializer

source, data = sys.argv[1], sys.argv[2]

session = sagemaker.Session()
role = sagemaker.get_execution_role()
inputs = session.upload_data(path=data, bucket=session.default_bucket(), key_prefix="dogs")
framework = {"framework_version": "1.12", "py_version": "py38"}
estimator = PyTorch(
    entry_point="train_model.py",
    source_dir=source,
    base_job_name="dogs",
    role=role,
    instance_count=1,
    instance_type="ml.m5.xlarge",
    hyperparameters={"epochs": 100, "lr": 0.003},
    **framework,
)
estimator.fit({"training": inputs}, wait=True)


class ImagePredictor(Predictor):
    def __init__(self, endpoint_name, sagemaker_session):
        super().__init__(
            endpoint_name,
            sagemaker_session=sagemaker_session,
            serializer=IdentitySerializer("image/jpeg"),
            deserializer=JSONDeserializer(),
        )


predictor = PyTorchModel(
    model_data=estimator.model_data,
    role=role,
    entry_point="inference.py",
    source_dir=source,
    predictor_cls=ImagePredictor,
    **framework,
).deploy(initial_instance_count=1, instance_type="ml.m5.large")
classes = sorted(os.listdir(os.path.join(data, "train")))
photos = sorted(glob.glob(os.path.join(data, "test", "*", "*.jpg")))
numbers, right = set(), 0
for photo in photos:
    with open(photo, "rb") as file:
        row = predictor.predict(file.read())[0]
    numbers.add(len(row))
    right += classes[int(np.argmax(row))] == os.path.basename(os.path.dirname(photo))
predictor.delete_endpoint()
print()
print("RESULT", json.dumps({"numbers": sorted(numbers), "right": right, "asked": len(photos)}))
