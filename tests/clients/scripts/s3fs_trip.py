"""Files on S3 through fsspec, as pandas, dask and torch loaders use it."""

import s3fs

fs = s3fs.S3FileSystem()
fs.mkdir("lake")
assert "lake" in fs.ls("")

with fs.open("lake/tables/one.csv", "w") as file:
    file.write("a,b\n1,2\n")
fs.pipe({"lake/tables/two.bin": b"\0" * 1000, "lake/tables/deep/three ü+.txt": b"three"})
assert sorted(fs.ls("lake/tables")) == [
    "lake/tables/deep",
    "lake/tables/one.csv",
    "lake/tables/two.bin",
]
assert len(fs.find("lake")) == 3
assert fs.glob("lake/**/*.txt") == ["lake/tables/deep/three ü+.txt"]
assert fs.info("lake/tables/two.bin")["size"] == 1000
assert fs.isdir("lake/tables") and fs.isfile("lake/tables/one.csv")
assert not fs.exists("lake/none") and not fs.exists("no-lake/none")

big = bytes(range(256)) * (50 << 12)
with fs.open("lake/big.bin", "wb", block_size=5 << 20) as file:
    file.write(big)
with fs.open("lake/big.bin", "rb") as file:
    file.seek(-300, 2)
    assert file.read() == big[-300:]
    file.seek(1000)
    assert file.read(10) == big[1000:1010]
assert fs.cat_file("lake/big.bin") == big
with fs.open("lake/tables/one.csv", "a") as file:
    file.write("3,4\n")
assert fs.cat_file("lake/tables/one.csv") == b"a,b\n1,2\n3,4\n"

fs.copy("lake/tables/two.bin", "lake/copy.bin")
fs.mv("lake/copy.bin", "lake/moved.bin")
assert fs.cat_file("lake/moved.bin") == b"\0" * 1000
fs.setxattr("lake/moved.bin", owner="me")
assert fs.getxattr("lake/moved.bin", "owner") == "me"
fs.put_tags("lake/moved.bin", {"kind": "copy"})
assert fs.get_tags("lake/moved.bin") == {"kind": "copy"}
fs.touch("lake/empty")
assert fs.du("lake/empty") == 0
assert fs.checksum("lake/empty") != fs.checksum("lake/moved.bin")
fs.get("lake/tables", "tables", recursive=True)
fs.put("tables", "lake/again", recursive=True)
assert len(fs.find("lake/again")) == 3
fs.rm("lake", recursive=True)
assert "lake" not in fs.ls("", refresh=True)
print("done")
