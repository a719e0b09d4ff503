"""Low-resource languages with real text: additions, a model from scratch, and one model of all the text."""
