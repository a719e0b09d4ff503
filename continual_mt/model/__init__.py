"""The network: architecture, Transformer, attention, loss, and the fast kernels that they use."""
