"""Training registered work again, and comparing what comes out with what is registered."""
