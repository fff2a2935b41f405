#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_cast_curl.py - weftcast's HTTP side as curl sees it: keys, methods, paths, error modes, headers, keep-alive."""
import os
import shutil
import sys
import tempfile

from castserver import API_KEY, Server, config
from tap import case, check_eq, check, run, sh

if not shutil.which("curl"):
    print("1..0 # SKIP curl is not installed")
    sys.exit(0)

SERVER = None
PUBLISH = '{"channel":"ch","data":{}}'


def curl(path, *args, body=PUBLISH, key=API_KEY):
    """(status, headers as a dict with lower-case names, body) of one request; a POST where there is a body."""
    command = ["curl", "-sS", "-m", "10", "-i", f"http://{SERVER.host}{path}", "-H", "Expect:"]
    if key:
        command += ["-H", f"X-API-Key: {key}"]
    if body is not None:
        command += ["--data-binary", body]
    text = sh(command + list(args))
    head, _, rest = text.replace("\r\n", "\n").partition("\n\n")
    lines = head.split("\n")
    fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    return int(lines[0].split(" ")[1]), {k.lower(): v for k, v in fields.items()}, rest


def expect(got, status, kind, body):
    check_eq((got[0], got[1].get("content-type"), got[2]), (status, kind, body), "answer")


JSON, TEXT = "application/json", "text/plain; charset=utf-8"
NOT_FOUND = (404, TEXT, "404 page not found\n")


@case
def publish():
    expect(curl("/api/publish"), 200, JSON, '{"result":{}}')
    expect(curl("/api/publish", "-H", "Content-Type: text/nonsense"), 200, JSON, '{"result":{}}')


@case
def keys():
    expect(curl("/api/publish", "-H", f"Authorization: apikey {API_KEY}", key=None), 200, JSON, '{"result":{}}')
    expect(curl("/api/publish", "-H", f"Authorization: ApiKey {API_KEY}", key=None), 200, JSON, '{"result":{}}')
    expect(curl(f"/api/publish?api_key={API_KEY}", key=None), 200, JSON, '{"result":{}}')
    for args, key in (((), None), ((), "wrong"), (("-H", f"Authorization: Bearer {API_KEY}"), None),
                      (("-H", "Authorization: apikey wrong"), None)):
        status, headers, body = curl("/api/publish", *args, key=key)
        check_eq((status, headers.get("content-length"), headers.get("www-authenticate"), body), (401, "0", None, ""))
    check_eq(curl("/api/publish?api_key=wrong", key=None)[0], 401)


@case
def methods_and_paths():
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        status, headers, body = curl("/api/publish", "-X", method, body=None)
        check_eq((method, status, headers.get("allow"), body), (method, 405, None, ""))
    for path in ("/api/nope", "/api/", "/api/publish/", "/nope"):
        expect(curl(path), *NOT_FOUND)
        expect(curl(path, key=None), *NOT_FOUND)


@case
def order_of_checks():
    check_eq(curl("/api/publish", "-X", "GET", body=None, key=None)[0], 405, "method before key")
    check_eq(curl("/api/publish", body="{bad", key=None)[0], 401, "key before body")


@case
def bad_bodies():
    for body in ("", "{bad", "[]", '"x"', PUBLISH + "x", '{"channel":5}', '{"tags":{"k":1}}'):
        expect(curl("/api/publish", body=body), 400, TEXT, "Bad Request\n")
    expect(curl("/api/info", body=""), 400, TEXT, "Bad Request\n")


@case
def transport_error_mode():
    mode = ("-H", "X-Centrifugo-Error-Mode: transport")
    expect(curl("/api/publish", *mode, body='{"channel":"nons:a","data":{}}'), 404, JSON,
           '{"code":102,"message":"unknown channel"}')
    expect(curl("/api/publish", *mode, body='{"channel":"","data":{}}'), 400, JSON, '{"code":107,"message":"bad request"}')
    expect(curl("/api/history", *mode, body='{"channel":"ch"}'), 400, JSON, '{"code":108,"message":"not available"}')
    expect(curl("/api/history", *mode, body='{"channel":"hist:a","since":{"offset":1,"epoch":"z"}}'), 416, JSON,
           '{"code":112,"message":"unrecoverable position"}')
    expect(curl("/api/rpc", *mode, body='{"method":"x"}'), 404, JSON, '{"code":104,"message":"not found"}')
    expect(curl("/api/publish", *mode), 200, JSON, '{"result":{}}')


@case
def legacy_endpoint():
    expect(curl("/api", body='{"id":7,"method":"publish","params":{"channel":"ch","data":{}}}'), 200, JSON,
           '{"id":7,"result":{}}')
    expect(curl("/api", body='{"method":"Publish","params":{"channel":"ch","data":{}}}\n{"id":2,"method":5,"params":{"channel":"ch"}}'),
           200, JSON, '{"result":{}}\n{"id":2,"error":{"code":108,"message":"not available"}}')
    expect(curl("/api", body='{"method":"publish"}'), 200, JSON, '{"error":{"code":107,"message":"bad request"}}')
    for body in ('{"method":"nope"}', "", "{bad"):
        expect(curl("/api", body=body), 400, TEXT, "Bad Request\n")


@case
def health_and_metrics():
    expect(curl("/health", body=None, key=None), 200, JSON, "{}")
    status, headers, body = curl("/metrics", body=None, key=None)
    check_eq(status, 200)
    check(headers["content-type"].startswith("text/plain; version=0.0.4"), headers["content-type"])
    check("# TYPE centrifugo_node_num_clients gauge" in body, body[:400])


@case
def many_requests_on_one_connection():
    out = sh(["curl", "-sS", "-m", "20", "-H", f"X-API-Key: {API_KEY}", "--data-binary", PUBLISH, "-w", " %{num_connects}\n",
              f"http://{SERVER.host}/api/publish?n=[1-50]"])
    check_eq(out, '{"result":{}} 1\n' + '{"result":{}} 0\n' * 49)


@case
def chunked_body_and_expect_continue():
    chunked = ("-H", "Transfer-Encoding: chunked")
    expect(curl("/api/publish", *chunked), 200, JSON, '{"result":{}}')
    with tempfile.NamedTemporaryFile("w") as f:
        f.write('{"channel":"ch","data":"' + "z" * 100000 + '"}')
        f.flush()
        text = sh(["curl", "-sS", "-m", "10", "-H", f"X-API-Key: {API_KEY}", "-H", "Expect: 100-continue", "--data-binary",
                   "@" + f.name, f"http://{SERVER.host}/api/publish"])
    check_eq(text, '{"result":{}}')


@case
def websocket_endpoint_without_upgrade():
    status, headers, body = curl("/connection/websocket", body=None, key=None)
    check_eq((status, headers.get("sec-websocket-version"), body), (400, "13", "Bad Request\n"))


@case
def no_key_configured():
    conf = config()
    del conf["http_api"]
    with Server(conf) as other:
        check_eq(other.http("/api/publish", PUBLISH, {"X-API-Key": "x"}, "POST")[0], 401)
    conf = config()
    conf["http_api"] = {"insecure": True}
    with Server(conf) as other:
        check_eq(other.http("/api/publish", PUBLISH, {}, "POST")[::2], (200, '{"result":{}}'))


with Server() as SERVER:
    run()
