"""A real HTTP server on loopback that does, when told to, what servers should not."""

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    path: str
    """With its query."""
    headers: Message
    method: str = "GET"


class Request(BaseHTTPRequestHandler):
    """One request; a behaviour answers it by `start`, `send` and `hang_up`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Server"

    def do_GET(self) -> None:
        nasty = self.server.nasty
        with nasty.lock:
            nasty.asked.append(Asked(self.path, self.headers, self.command))
            nasty.under_way += 1
            nasty.most_at_once = max(nasty.most_at_once, nasty.under_way)
        try:
            # A proxy is asked for the whole address.
            place = urlsplit(self.path).path
            nasty.routes.get(place, nasty.otherwise)(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client has had enough
        finally:
            with nasty.lock:
                nasty.under_way -= 1

    def do_HEAD(self) -> None:
        self.do_GET()  # `send` leaves the body out

    def do_POST(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def body(self) -> bytes:
        """What was sent with the request, by its length or in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

    def start(self, status: int = 200, **headers: object) -> None:
        """Status and headers; `Content_Length=3` is `Content-Length: 3`, None leaves one out."""
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def send(self, content: bytes) -> None:
        if self.command == "HEAD":
            return
        self.wfile.write(content)
        self.wfile.flush()

    def hang_up(self) -> None:
        self.close_connection = True

    def log_message(self, *_: object) -> None: ...


Behaviour = Callable[[Request], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # of connections that wait; beyond, a client waits a second
    nasty: "Nasty"

    def handle_error(self, *_: object) -> None: ...


def status(code: int, body: bytes = b"", **headers: object) -> Behaviour:
    def behave(request: Request) -> None:
        request.start(code, Content_Length=len(body), **headers)
        request.send(body)

    return behave


def content(
    body: bytes, etag: str | None = None, ranges: bool = True, **headers: object
) -> Behaviour:
    """As it should be: with ranges, If-Range and If-Modified-Since."""

    def behave(request: Request) -> None:
        told: dict[str, object] = {"ETag": etag, "Content_Type": "image/png", **headers}
        asked, mark = request.headers.get("Range"), request.headers.get("If-Range")
        since = request.headers.get("If-Modified-Since")
        if since and headers.get("Last_Modified"):
            request.start(304, **told)
        elif asked and ranges and mark in (None, etag, headers.get("Last_Modified")):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                request.start(416, Content_Range=f"bytes */{len(body)}", Content_Length=0)
                return
            span = f"bytes {start}-{len(body) - 1}/{len(body)}"
            request.start(206, Content_Range=span, Content_Length=len(body) - start, **told)
            request.send(body[start:])
        else:
            request.start(200, Content_Length=len(body), **told)
            request.send(body)

    return behave


def broken_off(body: bytes, at: int, **headers: object) -> Behaviour:
    """Says the whole length, sends less, and hangs up."""

    def behave(request: Request) -> None:
        request.start(200, Content_Length=len(body), **headers)
        request.send(body[:at])
        request.hang_up()

    return behave


def says_less(body: bytes, length: int) -> Behaviour:
    """Says a length shorter than what it sends."""

    def behave(request: Request) -> None:
        request.start(200, Content_Length=length)
        request.send(body)
        request.hang_up()

    return behave


def without_length(body: bytes) -> Behaviour:
    def behave(request: Request) -> None:
        request.start(200, Connection="close")
        request.send(body)
        request.hang_up()

    return behave


def redirect(to: str, code: int = 302) -> Behaviour:
    return status(code, Location=to)


def hangs_up(request: Request) -> None:
    request.hang_up()


def stalls(start: bytes, length: int) -> Behaviour:
    """Sends a beginning, then nothing until the server is closed."""

    def behave(request: Request) -> None:
        request.start(200, Content_Length=length)
        request.send(start)
        request.server.nasty.closing.wait(30)
        request.hang_up()

    return behave


def trickles(body: bytes, headers_too: bool = False) -> Behaviour:
    """Sends a few bytes now and then, so that no wait for the next is long."""

    def behave(request: Request) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nX-Long: ".encode()
        pieces = head + b"x" * 10_000 if headers_too else body
        if not headers_too:
            request.start(200, Content_Length=len(body))
        for place in range(0, len(pieces), 5):
            request.send(pieces[place : place + 5])
            if request.server.nasty.closing.wait(0.05):
                break
        request.hang_up()

    return behave


def garbage(content: bytes, start: bytes = b"", endless: bool = False) -> Behaviour:
    """Sends what is no answer at all, or goes on with it for ever."""

    def behave(request: Request) -> None:
        request.send(start + content)
        while endless and not request.server.nasty.closing.is_set():
            request.send(content)
        request.hang_up()

    return behave


def endless(start: bytes) -> Behaviour:
    """Sends for ever, without a length."""

    def behave(request: Request) -> None:
        request.start(200, Connection="close")
        request.send(start)
        while not request.server.nasty.closing.is_set():
            request.send(b"\0" * 65536)

    return behave


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> Behaviour:
    """Chunks as they should be, and then an end, which may be none."""

    def behave(request: Request) -> None:
        request.start(200, Transfer_Encoding="chunked")
        for chunk in chunks:
            request.send(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        request.send(end)
        if end != b"0\r\n\r\n":
            request.hang_up()

    return behave


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """One after the other; the last for all that follow."""
    left = list(behaviours)
    lock = threading.Lock()

    def behave(request: Request) -> None:
        with lock:
            now = left.pop(0) if len(left) > 1 else left[0]
        now(request)

    return behave


def for_get(behaviour: Behaviour, otherwise: Behaviour, end: str = "") -> Behaviour:
    """One for GET requests of paths with this end, the other for all else."""

    def behave(request: Request) -> None:
        chosen = request.command == "GET" and request.path.endswith(end)
        (behaviour if chosen else otherwise)(request)

    return behave


def slowly(behaviour: Behaviour, seconds: float) -> Behaviour:
    def behave(request: Request) -> None:
        time.sleep(seconds)
        behaviour(request)

    return behave


@dataclass
class Nasty:
    """The server: what it answers by path, and what it was asked."""

    address: str = ""
    routes: dict[str, Behaviour] = field(default_factory=dict)
    otherwise: Behaviour = field(default_factory=lambda: status(404))
    asked: list[Asked] = field(default_factory=list)
    under_way: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)

    def on(self, path: str, behaviour: Behaviour) -> str:
        """Answer `path` so; its address."""
        self.routes[path] = behaviour
        return self.address + path

    def paths(self) -> list[str]:
        """What was asked for, robots.txt left out."""
        with self.lock:
            return [asked.path for asked in self.asked if asked.path != "/robots.txt"]

    def headers(self, path: str) -> list[Message]:
        """The headers of each GET for a path, its query left out."""
        with self.lock:
            asked = [a for a in self.asked if a.method == "GET"]
            return [a.headers for a in asked if urlsplit(a.path).path == path]


@contextlib.contextmanager
def nasty_server(tls: ssl.SSLContext | None = None) -> Iterator[Nasty]:
    server = _Server(("127.0.0.1", 0), Request)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    nasty = server.nasty = Nasty(f"{scheme}://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield nasty
    finally:
        nasty.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
