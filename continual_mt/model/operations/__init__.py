"""What the model computes with: products, attention, packing, dropout, loss and the decoder's memory."""
