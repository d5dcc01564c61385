"""Names and log lines as one line of a terminal or a log: whatever is in them, nothing breaks and nothing is hidden."""


def printable(text: str) -> str:
    """`text` with all that is not printable (newlines, control and format characters, stray bytes) as escapes."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def say(error: BaseException) -> str:
    """The type and the text of an error, also of one whose text can't be had."""
    name = type(error).__name__
    try:
        text = str(error)
    except Exception as broken:
        return f"{name} (whose text can't be had: {type(broken).__name__})"
    return f"{name}: {text}" if text else name


def _escape(character: str) -> str:
    # A byte that is not UTF-8 travels through str as one of these surrogates.
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
