"""A Django project of the name that Django's own documentation uses, for the blocks that import its settings."""
