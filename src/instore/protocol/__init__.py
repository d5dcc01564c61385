"""The wire, sans-IO: names, requests, pipelines, environment and the meaning of answers.

Pure functions and frozen dataclasses; standard library only (and `instore.errors`, which imports nothing).
Both sides of the wire, `webserver` and `target`, take every name and every rule from here.
"""
