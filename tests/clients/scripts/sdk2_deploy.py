"""What train_and_deploy.ipynb does with the SageMaker SDK, version 2, from fit to delete."""

import base64
import glob
import json
import os
import sys
import time

import boto3
import numpy as np
import sagemaker
from botocore.exceptions import ClientError
from sagemaker.async_inference import AsyncInferenceConfig, WaiterConfig
from sagemaker.deserializers import JSONDeserializer
from sagemaker.predictor import Predictor
from sagemaker.pytorch import PyTorch, PyTorchModel
from sagemaker.serializers import IdentitySerializer, JSONSerializer

source, data = sys.argv[1], sys.argv[2]

session = sagemaker.Session()
role = sagemaker.get_execution_role()
bucket = session.default_bucket()
inputs = session.upload_data(path=data, bucket=bucket, key_prefix="data")
framework = {"framework_version": "1.12", "py_version": "py38"}
machine = {"initial_instance_count": 1, "instance_type": "ml.m5.large"}
estimator = PyTorch(
    entry_point="train_model.py",
    source_dir=source,
    base_job_name="colours",
    role=role,
    instance_count=1,
    instance_type="ml.m5.xlarge",
    **framework,
)
estimator.fit({"training": inputs}, wait=True)
photos = sorted(glob.glob(os.path.join(data, "*", "*.jpg")))
result = {}

# The training script itself serves; arrays in, arrays out.
began = time.monotonic()
predictor = estimator.deploy(**machine)
result["seconds"] = time.monotonic() - began
batch = np.stack([np.full((3, 8, 8), value, dtype=np.float32) for value in (0.2, 0.4, 0.6)])
answer = predictor.predict(batch)
result["array"] = [str(answer.dtype), list(answer.shape)]
first = predictor.endpoint_name
predictor.delete_endpoint()


# A script of its own for serving; pictures in, lists out.
class ImagePredictor(Predictor):
    def __init__(self, endpoint_name, sagemaker_session):
        super().__init__(
            endpoint_name,
            sagemaker_session=sagemaker_session,
            serializer=IdentitySerializer("image/jpeg"),
            deserializer=JSONDeserializer(),
        )


model = PyTorchModel(
    model_data=estimator.model_data,
    role=role,
    entry_point="inference.py",
    source_dir=source,
    predictor_cls=ImagePredictor,
    **framework,
)
predictor = model.deploy(**machine)
classes = sorted(os.listdir(data))
rows, right = [], 0
for photo in photos:
    with open(photo, "rb") as file:
        row = predictor.predict(file.read(), initial_args={"ContentType": "image/jpeg"})[0]
    rows.append(row)
    right += classes[int(np.argmax(row))] == os.path.basename(os.path.dirname(photo))
result["numbers"] = sorted({len(row) for row in rows})
result["right"] = right / len(photos)

body = open(photos[0], "rb").read()
predictor.serializer = JSONSerializer()
told = predictor.predict({"image": base64.b64encode(body).decode()})
result["json_alike"] = bool(np.allclose(told[0], rows[0]))

for name in ("sagemaker-runtime", "runtime.sagemaker"):
    runtime = boto3.Session().client(name)
    response = runtime.invoke_endpoint(
        EndpointName=predictor.endpoint_name, ContentType="image/jpeg", Body=body
    )
    result[name] = bool(np.allclose(json.loads(response["Body"].read())[0], rows[0]))
    result["variant"] = response["InvokedProductionVariant"]
try:
    runtime.invoke_endpoint(
        EndpointName=predictor.endpoint_name, ContentType="image/jpeg", Body=b"no picture"
    )
except ClientError as error:
    result["bad"] = {
        "code": error.response["Error"]["Code"],
        "message": error.response["Error"]["Message"],
        "status": error.response["OriginalStatusCode"],
        "http": error.response["ResponseMetadata"]["HTTPStatusCode"],
    }
endpoint = predictor.endpoint_name
events = boto3.client("logs").filter_log_events(logGroupName=f"/aws/sagemaker/Endpoints/{endpoint}")
result["logged"] = any("In model_fn" in event["message"] for event in events["events"])
result["listed"] = [
    found["EndpointName"]
    for found in boto3.client("sagemaker").list_endpoints(StatusEquals="InService")["Endpoints"]
] == [endpoint]
predictor.delete_endpoint()
model.delete_model()

# A script without model_fn is in service; what is wrong comes with the first request.
broken = PyTorchModel(
    model_data=estimator.model_data,
    role=role,
    entry_point="no_model_fn.py",
    source_dir=source,
    env={"SAGEMAKER_MODEL_SERVER_WORKERS": "1"},
    **framework,
).deploy(**machine, endpoint_name="broken")
status = boto3.client("sagemaker").describe_endpoint(EndpointName="broken")["EndpointStatus"]
try:
    broken.predict(batch)
except ClientError as error:
    result["broken"] = [status, error.response["Error"]["Code"]]
broken.delete_endpoint()

# Asked through S3, answered in S3.
later = PyTorchModel(
    model_data=estimator.model_data,
    role=role,
    entry_point="inference.py",
    source_dir=source,
    predictor_cls=ImagePredictor,
    **framework,
).deploy(
    **machine,
    async_inference_config=AsyncInferenceConfig(
        output_path=f"s3://{bucket}/answers", max_concurrent_invocations_per_instance=2
    ),
)
answer = later.predict(body, waiter_config=WaiterConfig(max_attempts=60, delay=1))
result["async"] = bool(np.allclose(answer[0], rows[0]))
later.predictor.delete_endpoint()

found = boto3.client("sagemaker").list_endpoints()["Endpoints"]
result["left"] = [one["EndpointName"] for one in found if one["EndpointStatus"] != "Deleting"]
print()
print("RESULT", json.dumps(result))
