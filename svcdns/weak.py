"""What may be referred to weakly, though it is compiled."""


class Referable:
    """What may be referred to weakly: what is compiled may not, unless it extends a class that is not.

    For the same reason it has no ``__slots__``.
    """
