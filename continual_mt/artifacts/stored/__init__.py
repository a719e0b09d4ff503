"""How what is trained is stored: pieces of bytes, safetensors, formats of weights, and what may be stored beside it."""
