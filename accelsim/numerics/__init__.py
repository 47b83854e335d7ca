"""What a machine's number formats and memory errors do to a network's answers, through onnxruntime."""
