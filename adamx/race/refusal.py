"""The one error of the race: input that it cannot use."""


class Refusal(ValueError):
    """One sentence for the user: what was given, and the remedy."""
