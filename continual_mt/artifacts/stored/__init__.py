"""How what is trained is stored: pieces of bytes, safetensors, half precision, and what may be stored beside it."""
