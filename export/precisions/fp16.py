"""The encoder in fp16, for devices that compute in it: a CPU only casts back and forth."""

import onnx


def convert_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convert weights and arithmetic; inputs are integers, and outputs stay float32 for cache and heads.

    The mask's lowest number becomes fp16's.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    converted: onnx.ModelProto = convert_float_to_float16(
        onnx.ModelProto.FromString(model.SerializeToString()), keep_io_types=True
    )
    return converted
