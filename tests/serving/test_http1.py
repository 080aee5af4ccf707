"""HTTP as clients really speak it: in pieces, ahead of the answers, too much, wrongly, and going away in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket

import pytest
import uvloop

from dwcp_jupyter.serving.gateway.http1 import MAX_HEAD_BYTES, Limits, Server

MAX_BODY = 1 << 20


class Echo:
    """Answers with what it got; a path that starts with /slow is answered when `release` is set."""

    def __init__(self):
        self.release = asyncio.Event()
        self.arrived = asyncio.Event()
        self.asked = 0

    def max_body_bytes(self, request):
        return MAX_BODY

    def handle(self, request):
        self.asked += 1
        self.arrived.set()
        if request.path.startswith("/slow"):
            waiting = asyncio.get_running_loop().create_task(self.release.wait())
            waiting.add_done_callback(lambda _: self.answer(request))
        else:
            self.answer(request)

    def answer(self, request):
        status = 413 if request.is_cut else 200
        content = f"{request.method} {request.path} {request.content_type.decode()} {len(request.body)} ".encode()
        request.reply(status, content + request.body[:50], request_id=request.request_id or b"-")


@contextlib.asynccontextmanager
async def serving(**options):
    listener = socket.create_server(("127.0.0.1", 0))
    echo = Echo()
    server = Server(echo, **options)
    await server.start(listener)
    try:
        yield echo, server, listener.getsockname()
    finally:
        echo.release.set()
        await asyncio.wait_for(server.drain(), 10)


@pytest.fixture(params=["asyncio", "uvloop"])
def talk(request):
    """Return a function that sends bytes, or runs a conversation, and returns all that came back."""

    def run(sent, **options):
        async def conversation():
            async with serving(**options) as (echo, server, address):
                reader, writer = await asyncio.open_connection(*address)
                try:
                    if not isinstance(sent, bytes):
                        return await asyncio.wait_for(sent(reader, writer, echo, server), 20)
                    writer.write(sent)
                    writer.write_eof()
                    return await asyncio.wait_for(reader.read(), 20)
                finally:
                    writer.close()

        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(conversation())

    return run


def post(path="/", body=b"{}", *, version="1.1", **headers):
    lines = [f"POST {path} HTTP/{version}", "Host: h", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def statuses(answers):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answers)]


def test_an_answer_has_its_length_type_and_id(talk):
    answer = talk(post("/a", b"abc", Content_Type="text/x", X_Request_Id="r-7", Connection="close"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        b"x-request-id: r-7",
        b"connection: close",
    ]
    assert body == b"POST /a text/x 3 abc"


def test_a_connection_stays_open_unless_the_client_says_otherwise(talk):
    async def conversation(reader, writer, *_):
        for _ in range(3):
            writer.write(post("/again"))
            assert await reader.readuntil(b"POST /again  2 {}")
        writer.write(post("/last", Connection="close"))
        return await reader.read()

    answer = talk(conversation)
    assert b"connection: close" in answer
    assert answer.endswith(b"POST /last  2 {}")
    assert statuses(talk(post(version="1.0") * 2)) == [200]


def test_requests_sent_ahead_are_answered_in_order_however_long_one_takes(talk):
    async def conversation(reader, writer, echo, _):
        paths = ["/slow", *(f"/{number}" for number in range(500))]
        writer.write(b"".join(post(path) for path in paths) + post("/end", Connection="close"))
        await echo.arrived.wait()
        assert echo.asked == 1
        echo.release.set()
        return await reader.read()

    answers = talk(conversation)
    asked = re.findall(rb"POST (/\w+) ", answers)
    assert asked == [b"/slow", *(b"/%d" % number for number in range(500)), b"/end"]


def test_a_request_may_come_byte_by_byte(talk):
    async def conversation(reader, writer, *_):
        for byte in post("/a%20b?c=d", b"xyz", Connection="close"):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        return await reader.read()

    assert talk(conversation).endswith(b"POST /a b  3 xyz")


def test_a_body_in_chunks_is_one_body(talk):
    head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert talk(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").endswith(b" 5 abcde")


def test_a_head_request_gets_the_length_but_no_body(talk):
    answer = talk(b"HEAD /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert b"content-length: 11\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_who_waits_to_be_told_to_go_on_is_told(talk):
    async def conversation(reader, writer, *_):
        head, _, body = post("/", b"abc", Expect="100-continue", Connection="close").partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        told = await reader.readuntil(b"\r\n\r\n")
        writer.write(body)
        return told + await reader.read()

    assert statuses(talk(conversation)) == [100, 200]


@pytest.mark.parametrize("is_announced", [True, False])
def test_who_sends_too_much_can_read_why(talk, is_announced):
    async def conversation(reader, writer, *_):
        if is_announced:
            writer.write(post("/", b"x" * (20 * MAX_BODY)))
        else:
            writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            writer.write(b"%x\r\n" % (20 * MAX_BODY) + b"x" * (20 * MAX_BODY))
        answer = await reader.read()
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        return answer

    answer = talk(conversation)
    assert statuses(answer) == [413]
    assert b"connection: close" in answer


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01 TLS is not spoken here\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * (MAX_HEAD_BYTES + 1) + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * (MAX_HEAD_BYTES + 1), 431),
        (b"GET /" + b"a" * (MAX_HEAD_BYTES + 1) + b" HTTP/1.1\r\nHost: h\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * MAX_HEAD_BYTES + b"\r\n", 431),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_ends(talk, sent, status):
    answer = talk(sent)
    assert statuses(answer) == [status]
    assert b"connection: close" in answer


def test_what_follows_garbage_is_not_taken_for_a_request(talk):
    assert statuses(talk(post("/a") + b"\0garbage\r\n\r\n" + post("/b"))) == [200, 400]


def test_an_offer_to_speak_something_else_is_not_taken_up(talk):
    answer = talk(b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert statuses(answer) == [200]
    assert b"connection: close" in answer


def test_who_goes_away_in_the_middle_harms_nobody(talk):
    async def conversation(reader, writer, echo, _):
        address = writer.get_extra_info("peername")
        for sent in (post("/slow"), post("/a")[:30], post("/b", b"x" * 1000)[:-10]):
            _, other = await asyncio.open_connection(*address)
            other.write(sent)
            await other.drain()
            other.close()
        echo.release.set()
        writer.write(post("/here", Connection="close"))
        return await reader.read()

    assert talk(conversation).endswith(b"POST /here  2 {}")


def test_who_is_silent_for_too_long_is_let_go(talk):
    async def conversation(reader, writer, echo, _):
        writer.write(post("/slow"))
        await asyncio.sleep(0.6)  # longer than the keep-alive: waiting for an answer is not being silent
        echo.release.set()
        answer = await reader.readuntil(b"{}")
        return answer + await reader.read()

    assert statuses(talk(conversation, limits=Limits(silent_s=0.3))) == [200]
    assert talk(lambda reader, *_: reader.read(), limits=Limits(silent_s=0.3)) == b""


def test_draining_answers_what_came_and_lets_the_idle_go(talk):
    async def conversation(reader, writer, echo, server):
        address = writer.get_extra_info("peername")
        idle, other = await asyncio.open_connection(*address)
        writer.write(post("/slow") + post("/after"))
        await echo.arrived.wait()
        draining = asyncio.get_running_loop().create_task(server.drain())
        assert await idle.read() == b""
        other.close()
        assert not draining.done()
        echo.release.set()
        answers = await reader.read()
        await draining
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)
        return answers

    answers = talk(conversation)
    assert statuses(answers) == [200, 200]
    assert answers.count(b"connection: close") == 1


def test_a_client_that_does_not_read_holds_up_nobody_else(talk):
    async def conversation(reader, writer, echo, _):
        address = writer.get_extra_info("peername")
        _, deaf = await asyncio.open_connection(*address, limit=1)
        deaf.write(post("/big") * 20_000)
        writer.write(post("/here", Connection="close"))
        answer = await reader.read()
        deaf.transport.abort()
        return answer

    assert talk(conversation).endswith(b"POST /here  2 {}")


CHUNKED = b"POST /real HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"


def test_what_comes_after_a_body_is_no_header(talk):
    late = b"0\r\nContent-Type: text/late\r\nX-Request-Id: late\r\n\r\n"
    answer = talk(CHUNKED + late)
    assert statuses(answer) == [200]
    assert b"late" not in answer


@pytest.mark.parametrize(
    "endless",
    [b"X-Some: " + b"a" * 500 + b"\r\n", b"a" * 500],
    ids=["headers after the body", "one header after the body"],
)
def test_what_comes_after_a_body_has_an_end(talk, endless):
    async def conversation(reader, writer, *_):
        writer.write(CHUNKED + b"0\r\nX-Long: a")
        sent = 0
        answer = asyncio.ensure_future(reader.read())
        with contextlib.suppress(ConnectionError):
            while not answer.done() and sent < 50 * MAX_HEAD_BYTES:
                writer.write(b"\r\n" + endless if endless.endswith(b"\n") and not sent else endless)
                await writer.drain()
                await asyncio.sleep(0)
                sent += len(endless)
        return await answer, sent

    answer, sent = talk(conversation)
    assert statuses(answer) == [431]
    assert sent < 50 * MAX_HEAD_BYTES


def test_the_frames_of_a_chunked_body_do_not_count_as_its_head(talk):
    chunks = b"1\r\n{\r\n" * MAX_HEAD_BYTES
    answer = talk(CHUNKED + chunks + b"0\r\n\r\n")
    assert statuses(answer) == [200]


def test_a_request_without_host_is_refused_as_http_1_1_demands(talk):
    assert statuses(talk(b"GET / HTTP/1.1\r\n\r\n")) == [400]
    assert statuses(talk(b"GET / HTTP/1.0\r\n\r\n")) == [200]


def test_a_request_that_drips_is_ended_although_it_is_never_silent(talk):
    async def conversation(reader, writer, echo, _):
        writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
        answer = asyncio.ensure_future(reader.read())
        with contextlib.suppress(ConnectionError):
            while not answer.done():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)
        return await answer, echo.asked

    answer, asked = talk(conversation, limits=Limits(silent_s=0.3, request_s=0.4))
    assert statuses(answer) == [408]
    assert asked == 0


def test_a_server_that_ends_does_not_wait_for_requests_that_drip(talk):
    async def conversation(reader, writer, echo, server):
        writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
        await asyncio.sleep(0.1)
        ended = asyncio.ensure_future(server.drain())
        with contextlib.suppress(ConnectionError):
            while not ended.done():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)
        await ended
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # the bytes nobody read make the end a reset
            answer = await reader.read()
        return answer, echo.asked

    assert talk(conversation, limits=Limits(drain_s=0.2)) == (b"", 0)


def test_a_server_that_ends_answers_what_it_has_begun_however_long_it_takes(talk):
    async def conversation(reader, writer, echo, server):
        writer.write(post("/slow"))
        await echo.arrived.wait()
        ended = asyncio.ensure_future(server.drain())
        await asyncio.sleep(0.3)
        assert not ended.done()
        echo.release.set()
        await ended
        return await reader.read()

    assert statuses(talk(conversation, limits=Limits(drain_s=0.05))) == [200]


def test_one_connection_too_many_is_told_so_and_the_others_go_on(talk):
    async def conversation(reader, writer, _, server):
        address = writer.get_extra_info("peername")
        writer.write(post("/first"))
        await reader.readuntil(b"POST /first  2 {}")
        other_reader, other_writer = await asyncio.open_connection(*address)
        refused = await other_reader.read()
        other_writer.close()
        writer.write(post("/again", Connection="close"))
        return refused, await reader.read()

    refused, answered = talk(conversation, limits=Limits(connections=1))
    assert statuses(refused) == [503]
    assert statuses(answered) == [200]


def test_an_app_that_raises_costs_its_own_connection_only(talk):
    async def conversation(reader, writer, echo, _):
        echo.answer = lambda request: 1 / 0
        writer.write(post("/broken"))
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        del echo.answer
        reader, writer = await asyncio.open_connection(*writer.get_extra_info("peername"))
        writer.write(post("/works", Connection="close"))
        return await reader.read()

    assert statuses(talk(conversation)) == [200]
