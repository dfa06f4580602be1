"""A chat service: REST, WebSockets, tokens of an identity provider."""
