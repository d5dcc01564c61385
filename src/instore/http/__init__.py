"""HTTP/1.1 as both sides of the wire send it. Knows neither of them, nor what is sent."""
