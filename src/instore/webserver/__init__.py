"""The public names of AIStore's `aistore.sdk.etl.webserver`, over the one server in `instore.server`."""
