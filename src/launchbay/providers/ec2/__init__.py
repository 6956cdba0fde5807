"""Instances and images on EC2."""

__all__: list[str] = []
