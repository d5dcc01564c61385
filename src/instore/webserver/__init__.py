"""The ETL server: a request's source, the user's transform, the delivery of its result, and the outcome.

`app` is the ASGI application; `base_etl_server` what a user's class derives from; `utils` the seed's functions.
"""
