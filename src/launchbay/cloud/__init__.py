"""Fleets on EC2: planned, launched, made ready, ended. The verbs for what runs in them are run there."""

__all__: list[str] = []
