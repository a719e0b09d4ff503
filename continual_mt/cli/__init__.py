"""The command line: one small file a verb. It may import everything, nothing imports it.

Starting up stays quick: what loads slowly (torch, Ray, MLflow) is imported inside the handlers.
"""
