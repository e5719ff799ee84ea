"""Pictures of every page, in light, dark and on a phone: `make screenshots`."""
