"""What the twin does that moto does not: a behaviour of EC2 a file, with where it is known from."""

__all__: list[str] = []
