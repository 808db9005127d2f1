"""Tests against a running service, whose address is in SERVICE, and its key, if it needs one, in API_KEY."""

import http.server
import os
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from ddpm_inpaint_client import Client, ServiceError
from ddpm_inpaint_client.schemas import Job

SERVICE = os.environ["SERVICE"]
API_KEY = os.environ.get("API_KEY")
EXAMPLES = Path(os.environ.get("EXAMPLES", Path(__file__).parents[3] / "examples"))
IMAGE = (EXAMPLES / "face-1.png").read_bytes()
MASK = (EXAMPLES / "mask-1.png").read_bytes()


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(SERVICE, api_key=API_KEY, poll_s=0.05) as client:
        yield client


def test_a_seed_gives_the_same_picture_again_as_a_job_too(client: Client) -> None:
    first = client.fill(image=IMAGE, mask=MASK)
    assert "@" in first.model
    assert client.fill(image=IMAGE, mask=MASK, seed=first.seed) == first
    assert client.job(image=IMAGE, mask=MASK, seed=first.seed) == [first]


def test_a_job_has_one_picture_for_each_candidate_and_tells_its_state(client: Client) -> None:
    states: list[str] = []
    jobs = client.job(
        image=IMAGE, mask=MASK, seed=7, num_images=2, on_progress=lambda job: states.append(job["status"])
    )
    assert len(jobs) == 2
    assert jobs[0].picture != jobs[1].picture
    assert states[-1] == "succeeded"


@pytest.mark.parametrize("reason", [KeyboardInterrupt, ZeroDivisionError])
def test_a_job_that_is_not_waited_for_is_cancelled(client: Client, reason: type[BaseException]) -> None:
    states: list[Job] = []

    def stop(job: Job) -> None:
        states.append(job)
        raise reason

    with pytest.raises(reason):
        client.job(image=IMAGE, mask=MASK, steps=1000, sampler="ddpm", on_progress=stop)
    headers = {"authorization": f"Bearer {API_KEY}"} if API_KEY else {}
    ended = httpx.get(f"{SERVICE}/v1/jobs/{states[0]['id']}", headers=headers).json()
    assert ended["status"] == "cancelled"


def test_a_job_whose_answer_does_not_arrive_is_cancelled(busy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BusyFirst.refusals = 0
    with Client(busy, api_key=API_KEY) as client:
        send = client._http.send
        answers: list[httpx.Response] = []

        def interrupted(request: httpx.Request, **options: Any) -> httpx.Response:
            answers.append(send(request, **options))
            if len(answers) == 1:
                raise KeyboardInterrupt
            return answers[-1]

        monkeypatch.setattr(client._http, "send", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.job(image=IMAGE, mask=MASK, steps=1000, sampler="ddpm")
        job = answers[0].json()["id"]
        assert [answer.request.method for answer in answers] == ["POST", "POST", "DELETE"]
        assert client._http.get(f"/v1/jobs/{job}").json()["status"] == "cancelled"


def test_an_empty_mask_is_sent_and_refused(client: Client) -> None:
    with pytest.raises(ServiceError) as refused:
        client.fill(image=IMAGE, mask=b"")
    assert "mask" in str(refused.value)


def test_file_in_file_out(client: Client, tmp_path: Path) -> None:
    target = tmp_path / "filled.jpg"
    client.fill_file(EXAMPLES / "face-1.png", target, mask=EXAMPLES / "mask-1.png", seed=7)
    assert target.read_bytes().startswith(b"\xff\xd8\xff")
    with pytest.raises(ValueError, match="must end with"):
        client.fill_file("x", "y.bmp")


def test_a_stream_tells_the_progress(client: Client) -> None:
    events = list(client.stream(image=IMAGE, mask=MASK, seed=7, steps=4))
    names = [event.name for event in events]
    assert len(names) > 2
    assert names == ["queued", *["progress"] * (len(names) - 2), "result"]
    assert events[-1].data["seed"] == 7


def test_a_refusal_says_which_field_is_wrong(client: Client) -> None:
    for call in (client.fill, client.job):
        with pytest.raises(ServiceError) as refusal:
            call(image=IMAGE, mask=MASK, steps=0)
        assert refusal.value.problem["errors"][0]["pointer"] == "#/steps"
    with pytest.raises(ServiceError):
        list(client.stream(image=IMAGE, mask=b"no picture"))


class BusyFirst(http.server.BaseHTTPRequestHandler):
    """Refuses the first requests with 429, drops those whose numbers are named, or answers them with a status, and forwards
    the others to the service. May break off the first answer of each path."""

    refusals = 0
    dropped: ClassVar[list[int]] = []
    statuses: ClassVar[dict[int, int]] = {}
    keys: ClassVar[list[str | None]] = []
    tears = False
    torn: ClassVar[set[str]] = set()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        BusyFirst.keys.append(self.headers["idempotency-key"])
        if len(BusyFirst.keys) in BusyFirst.dropped:
            self.connection.close()
            return None
        if status := BusyFirst.statuses.get(len(BusyFirst.keys)):
            return self._answer(status, "text/html", b"<html>")
        if BusyFirst.refusals > 0:
            BusyFirst.refusals -= 1
            return self._answer(429, "text/plain", b"too many")
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        request = urllib.request.Request(SERVICE + self.path, body or None, headers, method=self.command)
        with urllib.request.urlopen(request) as answer:
            self._answer(answer.status, answer.headers["content-type"], answer.read())

    do_GET = do_DELETE = do_POST

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("retry-after", "0")
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if BusyFirst.tears and self.path not in BusyFirst.torn:
            BusyFirst.torn.add(self.path)
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def busy() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), BusyFirst)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    BusyFirst.keys.clear()
    BusyFirst.dropped.clear()
    BusyFirst.statuses.clear()
    BusyFirst.torn.clear()
    BusyFirst.tears = False
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_job_is_sent_again_after_429_with_the_same_key(busy: str) -> None:
    BusyFirst.refusals = 2
    with Client(busy, api_key=API_KEY, poll_s=0.05) as client:
        assert len(client.job(image=IMAGE, mask=MASK, steps=2)) == 1
    assert BusyFirst.keys[0]
    assert BusyFirst.keys[:3] == [BusyFirst.keys[0]] * 3


def test_a_job_survives_lost_connections(busy: str) -> None:
    BusyFirst.refusals = 0
    BusyFirst.dropped.extend([1, 3])
    with Client(busy, api_key=API_KEY, poll_s=0.05) as client:
        assert len(client.job(image=IMAGE, mask=MASK, steps=2)) == 1
    assert BusyFirst.keys[0] == BusyFirst.keys[1]
    BusyFirst.dropped.append(len(BusyFirst.keys) + 1)
    with Client(busy, api_key=API_KEY) as client, pytest.raises(httpx.TransportError):
        client.fill(image=IMAGE, mask=MASK)


def test_a_job_survives_a_proxy_that_loses_its_connections_to_the_service(busy: str) -> None:
    BusyFirst.refusals = 0
    BusyFirst.statuses.update({1: 502, 3: 504, 4: 502})
    with Client(busy, api_key=API_KEY, poll_s=0.05) as client:
        assert len(client.job(image=IMAGE, mask=MASK, steps=2)) == 1
    assert BusyFirst.keys[0] == BusyFirst.keys[1]
    BusyFirst.statuses[len(BusyFirst.keys) + 1] = 502
    with Client(busy, api_key=API_KEY) as client, pytest.raises(ServiceError):
        client.fill(image=IMAGE, mask=MASK)


def test_a_job_survives_connections_that_break_in_the_middle_of_an_answer(busy: str) -> None:
    BusyFirst.refusals = 0
    BusyFirst.tears = True
    with Client(busy, api_key=API_KEY, poll_s=0.05) as client:
        filled = client.job(image=IMAGE, mask=MASK, steps=2, num_images=2, seed=7)
        for end in ("/v1/jobs", "/images/0", "/images/1"):
            assert any(path.endswith(end) for path in BusyFirst.torn)
        assert filled == client.job(image=IMAGE, mask=MASK, steps=2, num_images=2, seed=7)
        BusyFirst.torn.clear()
        with pytest.raises(httpx.TransportError):
            client.fill(image=IMAGE, mask=MASK)


def test_none_is_a_parameter_that_is_not_given(client: Client) -> None:
    parameters: dict[str, Any] = {"seed": None, "steps": 2}
    assert client.fill(image=IMAGE, mask=MASK, **parameters).seed >= 0


def test_a_job_needs_no_picture(client: Client) -> None:
    assert len(client.job(task="sample", steps=2)) == 1


def test_it_gives_up_after_its_retries(busy: str) -> None:
    BusyFirst.refusals = 2
    with Client(busy, retries=1) as client, pytest.raises(ServiceError) as refusal:
        client.fill(image=IMAGE, mask=MASK)
    assert refusal.value.problem["status"] == 429


def answering(
    client: Client, monkeypatch: pytest.MonkeyPatch, status: int, **headers: str
) -> list[httpx.Request]:
    """Makes every request of the client get the same answer. Returns those that were sent."""
    sent: list[httpx.Request] = []

    def send(request: httpx.Request, **_: Any) -> httpx.Response:
        assert len(sent) < 10, "it must give up"
        sent.append(request)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.Response(status, headers=named, content=b"<html>", request=request)

    monkeypatch.setattr(client._http, "send", send)
    return sent


def test_an_answer_that_is_no_picture_is_not_taken_for_one(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(client, monkeypatch, 200, content_type="text/html")
    with pytest.raises(RuntimeError, match="text/html, not a picture"):
        client.fill(image=IMAGE)
    answering(client, monkeypatch, 200, content_type="image/png", x_seed="7")
    with pytest.raises(RuntimeError, match="x-model"):
        client.fill(image=IMAGE)


def test_it_gives_up_whatever_retries_and_retry_after_are(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with Client(retries=-1) as client, pytest.raises(ServiceError):
        sent = answering(client, monkeypatch, 429)
        client.fill(image=IMAGE)
    assert (len(sent), pauses) == (1, [])
    with Client(retries=1) as client, pytest.raises(ServiceError):
        answering(client, monkeypatch, 429, retry_after="9" * 5000)
        client.fill(image=IMAGE)
    assert pauses == [2_147_483]
