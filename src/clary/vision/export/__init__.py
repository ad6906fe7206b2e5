"""Models for other programs: ONNX, OpenVINO, TorchScript, and the code that serves on AWS."""
