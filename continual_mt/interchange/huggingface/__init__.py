"""Reading models of other libraries into our names: one small file a family."""
