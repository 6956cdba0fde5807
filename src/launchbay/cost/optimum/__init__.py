"""The cheapest way to run services and jobs on what can be rented, with a proof. Knows no workload file. Pure."""

__all__: list[str] = []
