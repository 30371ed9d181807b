"""Many small statements of projection handlers carried out as few large ones, with the same outcome."""
