"""Translation: a recipe's weights as a running model, beam search, batches of one or many pairs."""
