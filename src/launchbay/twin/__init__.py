"""The offline EC2: moto answers the API, rules in front of it behave as EC2 does, and hosts behind it really run."""

__all__: list[str] = []
