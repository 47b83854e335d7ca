"""Opens models in onnxruntime, each node computed as it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx
    import onnxruntime as ort


def open_session(model: onnx.ModelProto, threads: int = 1, *, optimise: bool = True) -> ort.InferenceSession:
    """Load a model into onnxruntime on the CPU.

    Parameters
    ----------
    model
        The model.
    threads
        Threads of one operator.
    optimise
        Let onnxruntime rearrange floating-point operators. Rounding to integers always stays where it is written:
        products between quantisers are not turned into integer ones.
    """
    import onnxruntime as ort  # takes a tenth of a second, which runs without accuracy need not pay

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
