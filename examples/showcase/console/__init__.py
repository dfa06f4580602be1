"""The start page: a console in one HTML, one CSS and one JavaScript file, and what it asks the server for."""
