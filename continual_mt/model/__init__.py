"""The network: architecture, Transformer, attention, loss and the kernels that make them fast."""
