"""How a new language's embeddings start: from the parent's, through word translations or equal pieces."""
