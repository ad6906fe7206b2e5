import boto3

assert boto3.client("sts").get_caller_identity()["Account"] == "000000000000"
print([bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]])
