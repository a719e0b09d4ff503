"""Contestants, one module each: a program that prints its measurements as one line of JSON."""
