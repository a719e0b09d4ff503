"""The paper's tables on Multi30k: scopes and starts, each with its best rates, and zero-shot pairs."""
