"""What the service in apps.py and the tests that call it agree on."""

KEY = "a key for tests of at least thirty-two bytes"
ORIGIN = "https://app.example"
LIMIT = 10_000
PAYLOAD = {"items": [{"id": number, "name": f"item {number}"} for number in range(80)]}
EVENTS = 3
EVENT_PAUSE = 0.3
UPLOAD_LIMIT = 400_000
ETAG = '"of-the-app"'
