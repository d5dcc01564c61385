"""The packages that a class asks for, installed."""
