"""From a class to a running server: finding the class, one worker process, several of them."""
