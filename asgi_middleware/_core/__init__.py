"""The ground floor: what two concerns share. Knows ASGI and HTTP, knows no concern."""
