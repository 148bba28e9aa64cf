"""A web service that answers for each payment at once: POST a payment, get its score.

    python examples/service.py
    curl -d '{"paid_at": "2024-05-03T10:00:00Z", "card": "c", "merchant": "m", "amount": 5}' \
        http://127.0.0.1:PORT/

Every request is counted, so the next one sees it. Only the standard library and muntin.
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fraud

import muntin as mt


def answer(op: mt.Operator, payment: dict[str, Any]) -> dict[str, Any]:
    """Score one payment."""
    found = op.ask(payment)
    return {
        "score": found.score,
        "hits": list(found.hits),
        "alerts": [alert["message"] for alert in found.alerts if not alert["shadow"]],
        "late": found.late,
    }


def serve(op: mt.Operator, port: int = 0) -> ThreadingHTTPServer:
    """A server on the loopback interface; port 0 takes a free one."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                status, said = 200, answer(op, json.loads(body))
            except (mt.MuntinError, ValueError) as error:
                status, said = 400, {"error": str(error)}
            reply = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing for each request."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def main() -> None:
    """Serve until interrupted."""
    server = serve(mt.operator(fraud.scored, rules=fraud.rules))
    print(f"http://127.0.0.1:{server.server_port}/")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
