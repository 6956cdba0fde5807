"""What EC2 does, as a list that can be tried: against the twin, against moto alone, and by whoever has an account against AWS."""

__all__: list[str] = []
