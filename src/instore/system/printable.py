"""Names and log lines as one line of a terminal or a log: whatever is in them, nothing breaks and nothing is hidden."""


def printable(text: str) -> str:
    """`text` with all that is not printable (newlines, control and format characters, stray bytes) as escapes."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    # A byte that is not UTF-8 travels through str as one of these surrogates.
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
