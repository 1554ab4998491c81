"""A preview of the work of the agent over HTTP, on a port that the system chooses."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ._names import set_process_name

PAGE = b"The agent is at work.\n"


class Preview(BaseHTTPRequestHandler):
    """Answers each GET with one line."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        """Write nothing: the first line of the output is the port."""


def main() -> None:
    """Print the port, and serve for ever."""
    set_process_name("preview")
    with ThreadingHTTPServer(("127.0.0.1", 0), Preview) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
