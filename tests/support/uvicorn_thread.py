"""uvicorn in a thread, on a port that the system picks."""

import threading

import uvicorn

START_TIMEOUT = 10


class UvicornThread:
    """A context manager that gives the port."""

    def __init__(self, target, ws="websockets-sansio"):
        self.server = uvicorn.Server(uvicorn.Config(target, port=0, ws=ws, log_level="critical", lifespan="off"))
        self.thread = threading.Thread(target=self.server.run)

    def __enter__(self):
        self.thread.start()
        for _ in range(START_TIMEOUT * 100):
            if self.server.started:
                return self.server.servers[0].sockets[0].getsockname()[1]
            self.thread.join(0.01)
        raise TimeoutError

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join()
