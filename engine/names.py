"""Runtimes and precisions by the names that people give them: all that a command line needs to know of them."""

from typing import Literal, get_args

AnyRuntime = Literal["onnxruntime", "openvino", "torch", "tensorrt_rtx", "tensorrt"]
RuntimeName = Literal["auto", "onnxruntime", "openvino", "torch", "tensorrt_rtx", "tensorrt"]
PrecisionName = Literal["auto", "float32", "float16", "bfloat16", "int8"]
Kind = Literal["tensorrt_rtx", "tensorrt"]
KINDS: tuple[Kind, ...] = ("tensorrt_rtx", "tensorrt")
"""The compilers, in order of preference."""
PlanPrecision = Literal["float16", "bfloat16", "float32"]
PLAN_PRECISIONS: tuple[PlanPrecision, ...] = get_args(PlanPrecision)
"""In order of preference."""
