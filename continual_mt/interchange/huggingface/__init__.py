"""Models of Hugging Face's transformers: their architectures and weights under our names."""
