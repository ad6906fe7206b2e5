"""What a hook saw of a training: losses, statistics and tensors, by step.

Written by `clary.debugger`, readable while it grows, from a folder or from S3, also after the
writer was killed. Runs in anybody's interpreter: standard library and numpy only. Format version
1; see `docs/formats/tensor_log.md`.
"""
