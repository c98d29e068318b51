"""How the administration asks: real TLS nodes that answer as they are told."""

import asyncio
import contextlib
import datetime
import http.server
import ipaddress
import ssl
import tempfile
import threading
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from authfi._cluster import AsyncCluster, Cluster, Operation, _prepare
from authfi.admin import Changed, Conflict, Denied, NotFound, Problem, Unavailable
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

CHANGE = Operation("UpdateUser", "PATCH", "/api/v1/users/{id}", body="*", conditional=True)
READ = Operation("ListUsers", "GET", "/api/v1/users", read=True)
LEAVE = Operation("Leave", "POST", "/api/v1/members/leave", body="*", local=True)
PATIENCE = 20.0  # outlasts every repetition of these tests


def certificate(folder: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "node")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = Path(folder, "node.pem")
    file.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return str(file)


class Node:
    """Answers with what it is told and keeps what it was asked; without a status it hangs up."""

    def __init__(self, test: "Administration", status: int, body: str = "{}", hear: Callable[[], object] = lambda: None) -> None:
        self.seen: list[tuple[str, str, str, Any]] = []
        node = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
                node.seen.append((self.command, self.path, sent, self.headers))
                hear()
                if status:
                    self.send_response(status)
                    self.send_header("X-Authfi-Index", "7")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    with contextlib.suppress(OSError):  # whoever asked has no patience left
                        self.wfile.write(body.encode())

            do_GET = do_POST = do_PATCH = answer

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(test.pem)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        test.addCleanup(server.server_close)
        test.addCleanup(thread.join)
        test.addCleanup(server.shutdown)


class Administration(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.pem = certificate(folder.name)

    def cluster(self, *nodes: Node, patience: float = PATIENCE) -> Cluster:
        return Cluster(nodes=[node.url for node in nodes], token="afk_t", ca_file=self.pem, patience=patience)

    def test_repetition(self) -> None:
        """What nobody answered is asked of the next node, under the same key."""
        first, second, third = Node(self, 0), Node(self, 503, '{"code":"unknown_outcome"}'), Node(self, 200, '{"id":"u/1"}')
        cluster = self.cluster(first, second, third)
        self.assertEqual(cluster._call(CHANGE, {"id": "u/1", "title": "t"}, if_version=3), {"id": "u/1"})
        asked = first.seen + second.seen + third.seen
        self.assertEqual([one[:3] for one in asked], [("PATCH", "/api/v1/users/u%2F1", '{"title": "t"}')] * 3)
        self.assertEqual({(one[3]["If-Match"], one[3]["Authorization"]) for one in asked}, {('"3"', "Bearer afk_t")})
        self.assertEqual(len({one[3]["Idempotency-Key"] for one in asked} - {None, ""}), 1)
        cluster._call(READ, {})
        self.assertEqual((cluster.index, len(third.seen), third.seen[1][3]["X-Authfi-Index"]), (7, 2, "7"))
        self.assertIsNone(third.seen[1][3]["Idempotency-Key"])

    def test_no_repetition(self) -> None:
        """What is answered for good, and what the next node would do to itself."""
        for status, kind in {403: Denied, 404: NotFound, 409: Conflict, 412: Changed, 500: Problem, 429: Problem}.items():
            node = Node(self, status, '{"code":"c","field":"version","detail":"d"}')
            with self.subTest(status), self.assertRaises(kind) as caught:
                self.cluster(node, node)._call(CHANGE, {"id": "u"})
            problem = caught.exception
            self.assertIs(type(problem), kind)
            self.assertEqual((problem.status, problem.code, problem.detail, len(node.seen)), (status, "c", "d", 1))
        node = Node(self, 503)
        self.assertRaises(Unavailable, self.cluster(node)._call, LEAVE, {})
        self.assertRaises(ValueError, self.cluster(node, node)._call, LEAVE, {})
        self.assertEqual(len(node.seen), 1)

    def test_patience(self) -> None:
        """It ends a call, and so does its caller."""
        node = Node(self, 503, "not JSON")
        self.assertRaises(Unavailable, self.cluster(node, patience=0.3)._call, READ, {})
        self.assertGreater(len(node.seen), 0)

        async def cancelled() -> None:
            heard = asyncio.Event()
            loop = asyncio.get_running_loop()
            busy = Node(self, 503, hear=lambda: loop.call_soon_threadsafe(heard.set))
            call = asyncio.ensure_future(AsyncCluster(nodes=[busy.url], token="t", ca_file=self.pem)._call(READ, {}))
            await heard.wait()
            call.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await call

        asyncio.run(cancelled())

    def test_refused(self) -> None:
        """What cannot be meant is refused before anybody is asked."""
        node = Node(self, 200)
        call = self.cluster(node)._call
        self.assertRaises(ValueError, call, CHANGE, {})
        self.assertRaises(ValueError, call, CHANGE, {"id": ".."})
        self.assertRaises(ValueError, call, READ, {}, if_version=1)
        self.assertRaises(ValueError, call, READ, {}, idempotency_key="k")
        self.assertEqual(node.seen, [])
        good = {"nodes": [node.url], "token": "t"}
        for bad in ({"nodes": []}, {"nodes": ["http://127.0.0.1"]}, {"token": ""}, {"patience": -1}):
            self.assertRaises(ValueError, Cluster, **(good | bad))
        self.assertRaises(OSError, Cluster, **good, ca_file="missing.pem")

    def test_places(self) -> None:
        """A field is in the path, the query or the body, as the operation has it."""
        fields = {"id": "a?b", "type": ["x y", "z"], "strict": True, "from_": None}
        query = "/x/a%3Fb?strict=true&type=x+y&type=z"
        for body, rules, path, sent in (
            ("", None, query, None),
            ("*", None, "/x/a%3Fb", b'{"type": ["x y", "z"], "strict": true}'),
            ("rules", [{"id": "r"}], query, b'{"rules": [{"id": "r"}]}'),
            ("rules", None, query, b'{"rules": []}'),
        ):
            got = _prepare(Operation("O", "GET", "/x/{id}", body=body), {**fields, "rules": rules})
            self.assertEqual((got.path, got.body), (path, sent))
        self.assertEqual(_prepare(READ, {"from_": 3}).path, "/api/v1/users?from=3")

    def test_pages(self) -> None:
        """All of them are walked, and a page that names itself does not go on for ever."""
        last = self.cluster(Node(self, 200, '{"users":[1,2],"cursor":""}'))
        self.assertEqual(list(last._all(READ, "users", {})), [1, 2])
        node = Node(self, 200, '{"users":[1],"cursor":"again"}')
        walk, found = self.cluster(node)._all(READ, "users", {}), []
        with self.assertRaisesRegex(ValueError, "names itself"):
            found.extend(iter(lambda: next(walk), None))
        self.assertEqual([one[1] for one in node.seen], ["/api/v1/users", "/api/v1/users?cursor=again"])
        self.assertRaises(NotFound, list, self.cluster(Node(self, 404))._all(READ, "users", {}))


if __name__ == "__main__":
    unittest.main()
