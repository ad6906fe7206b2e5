"""Files on S3 through smart_open, as gensim and many scripts use it."""

import boto3
from smart_open import open

boto3.client("s3").create_bucket(Bucket="smart")

with open("s3://smart/lines.txt", "w") as file:
    file.writelines(f"line {number}\n" for number in range(1000))
with open("s3://smart/lines.txt") as file:
    assert sum(1 for _ in file) == 1000

packed = "s3://smart/packed.txt.gz"
with open(packed, "w") as file:
    file.write("packed " * 1000)
with open(packed) as file:
    assert file.read() == "packed " * 1000

large = bytes(range(256)) * (60 << 12)
with open("s3://smart/large.bin", "wb", transport_params={"min_part_size": 6 << 20}) as file:
    for begin in range(0, len(large), 1 << 20):
        file.write(large[begin : begin + (1 << 20)])
with open("s3://smart/large.bin", "rb") as file:
    file.seek(12345678)
    assert file.read(100) == large[12345678:12345778]
    file.seek(0)
    assert file.read() == large

try:
    open("s3://smart/none").read()
except OSError:
    print("done")
