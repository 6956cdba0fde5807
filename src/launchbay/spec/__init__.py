"""What is wished for: names, counts and YAML files, turned into frozen values. Pure but for reading the file."""

__all__: list[str] = []
