"""An archive of documents: an API for programs with tokens, the admin and a form for people with sessions."""
