"""What can be had: instance types, and what they cost where and when. Queries are pure; refreshing is not."""

__all__: list[str] = []
