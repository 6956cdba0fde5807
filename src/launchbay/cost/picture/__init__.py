"""Bills and their alternatives as pictures: what is drawn as values, drawn by matplotlib, and as one page. Pure."""

__all__: list[str] = []
