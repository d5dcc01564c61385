"""One target's objects: files in folders, in AIStore's layout, whole or not at all."""
