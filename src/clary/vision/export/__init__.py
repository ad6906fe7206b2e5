"""Models for other programs: ONNX, OpenVINO, TorchScript, and the code that serves on AWS."""

from clary.vision.export.exporting import (
    FORMATS,
    PARITY_BOUND,
    ExportResult,
    Format,
    export_model,
)

__all__ = ["FORMATS", "PARITY_BOUND", "ExportResult", "Format", "export_model"]
