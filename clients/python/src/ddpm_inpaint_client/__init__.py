"""Fills holes in pictures with a ddpm-inpaint service."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, Unpack

import httpx
import httpx_sse

from .schemas import InpaintForm, Job, JobForm, Problem

__all__ = ["Client", "Event", "Filled", "ServiceError"]

BUSY = (429, 503)
"""Statuses of a service that is busy or starting. Its Retry-After says when to try again."""
LOST = (502, 504)
"""Statuses of a proxy that has lost its connection to the service: the request may have arrived."""
LOST_S = 1
"""Seconds after which a request is repeated whose connection was lost."""
UNFINISHED = ("queued", "running")
CANCEL_S = 5
"""Seconds without a byte after which a request that cancels a job is given up."""
LONGEST_S = 2**31 // 1000
"""The longest pause in seconds, whatever Retry-After says; that of the TypeScript client too."""
FORMATS: dict[str, Literal["png", "jpeg", "webp"]] = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
}
PICTURES = ("image", "mask")


@dataclass(frozen=True)
class Filled:
    """A filled picture file, and what it takes to get the same one again."""

    picture: bytes
    model: str
    seed: int


@dataclass(frozen=True)
class Event:
    """What a stream sends: queued (position); progress (step, of, eta_ms, timestep, abar, and now and then preview, box,
    noisy), as the service's OpenAPI document describes them; or result (schemas.Inpainted)."""

    name: str
    data: dict[str, Any]


class ServiceError(Exception):
    """The service refused a request, or a job failed. `problem` says why, and names the fields."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem["detail"] or problem["title"])
        self.problem = problem


class Client:
    """A connection to a service. Parameters of requests are those of its OpenAPI document."""

    def __init__(
        self,
        base_url: str = "http://localhost:8000",
        *,
        api_key: str | None = None,
        retries: int = 5,
        poll_s: float = 0.5,
        timeout_s: float = 300,
    ) -> None:
        """retries: how often a request is sent again after 429 or 503, and one that can be repeated after a
        lost connection, 502 or 504. poll_s: seconds between questions whether a job has ended. timeout_s: seconds
        without a byte after which a request is given up."""
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=timeout_s)
        self._retries = retries
        self._poll_s = poll_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def fill(self, **request: Unpack[InpaintForm]) -> Filled:
        """Fills the hole of a picture. With num_images above 1, use job() or stream()."""
        answer = self._send("POST", "/v1/inpaint", accept="image/*", form=dict(request))
        picture = _picture(answer)
        model, seed = (answer.headers.get(name) for name in ("x-model", "x-seed"))
        if not model or not seed:
            raise RuntimeError("the answer lacks x-model or x-seed: a proxy may have removed it")
        return Filled(picture, model, int(seed))

    def fill_file(
        self, source: str | Path, target: str | Path, *, mask: str | Path | None = None, **parameters: Any
    ) -> Filled:
        """Fills the hole of a picture file, and writes the result in the format that the target's name ends with."""
        ending = Path(target).suffix.lower()
        if ending not in FORMATS:
            raise ValueError(f"{target} must end with {', '.join(FORMATS)}")
        if mask is not None:
            parameters["mask"] = Path(mask).read_bytes()
        filled = self.fill(image=Path(source).read_bytes(), format=FORMATS[ending], **parameters)
        Path(target).write_bytes(filled.picture)
        return filled

    def stream(self, **request: Unpack[InpaintForm]) -> Iterator[Event]:
        """Fills the hole of a picture, and tells the progress. The last event is the result."""
        accept = "text/event-stream"
        answer = self._send("POST", "/v1/inpaint", accept=accept, form=dict(request), stream=True)
        with closing(answer):
            for sent in httpx_sse.EventSource(answer).iter_sse():
                data = sent.json()
                if sent.event == "error":
                    raise ServiceError(data)
                yield Event(sent.event, data)
                if sent.event == "result":
                    return
        raise httpx.RemoteProtocolError("the stream ended before its result")

    def job(
        self, *, on_progress: Callable[[Job], None] = lambda job: None, **request: Unpack[JobForm]
    ) -> list[Filled]:
        """Fills the hole of a picture as a job, which waits for its turn and outlives connections: one picture
        for each candidate. Sending it again creates no second job. Ctrl-C cancels it, and so does an exception
        of on_progress."""
        form, key = dict(request), str(uuid.uuid4())
        known: Job | None = None

        def tell(job: Job) -> Job:
            try:
                on_progress(job)
            except Exception:
                if job["status"] in UNFINISHED:  # the pictures of one that has ended stay
                    self._cancel(form, key, job)
                raise
            return job

        try:
            known = job = tell(self._send("POST", "/v1/jobs", form=form, key=key).json())
            while job["status"] in UNFINISHED:
                time.sleep(self._poll_s)
                job = tell(self._send("GET", f"/v1/jobs/{job['id']}").json())
        except (KeyboardInterrupt, SystemExit):
            self._cancel(form, key, known)
            raise
        if job["status"] == "failed" and "error" in job:
            raise ServiceError(job["error"])
        if job["status"] != "succeeded":
            raise RuntimeError(f"the job was {job['status']}")
        parameters = job["parameters"]
        filled = []
        # Not the links of the job: they begin with the path of the service, which the base URL has already.
        for n in range(len(job["images"])):
            picture = _picture(self._send("GET", f"/v1/jobs/{job['id']}/images/{n}"))
            filled.append(Filled(picture, parameters["model"], parameters["seed"]))
        return filled

    def _cancel(self, form: dict[str, Any], key: str, job: Job | None) -> None:
        """Cancels a job if the service answers soon. It may have created one whose answer is not here yet: the key tells."""
        with suppress(httpx.HTTPError, ValueError, KeyError):
            if job is None:
                request = self._request("POST", "/v1/jobs", form, {"idempotency-key": key}, timeout=CANCEL_S)
                job = self._http.send(request).json()
            self._http.delete(f"/v1/jobs/{job['id']}", timeout=CANCEL_S)

    def _request(
        self,
        method: str,
        path: str,
        form: dict[str, Any],
        headers: dict[str, str],
        timeout: float | None = None,
    ) -> httpx.Request:
        files = {name: form[name] for name in PICTURES if form.get(name) is not None}
        # Parts without a file name: the form is multipart, with a picture or without one.
        parts = {
            name: (None, _text(value))
            for name, value in form.items()
            if name not in PICTURES and value is not None
        }
        return self._http.build_request(
            method,
            path,
            headers=headers,
            files={**parts, **files} or None,
            timeout=httpx.USE_CLIENT_DEFAULT if timeout is None else timeout,
        )

    def _send(
        self,
        method: str,
        path: str,
        *,
        accept: str | None = None,
        form: dict[str, Any] | None = None,
        key: str | None = None,
        stream: bool = False,
    ) -> httpx.Response:
        """Sends a request and reads the answer, except that of a stream. Sends it again when the service is busy
        or, if it can be repeated, when a connection is lost. Raises ServiceError for any other refusal."""
        headers = {name: value for name, value in {"accept": accept, "idempotency-key": key}.items() if value}
        repeatable = method != "POST" or key is not None
        again = (*BUSY, *LOST) if repeatable else BUSY
        left = self._retries
        while True:
            request = self._request(method, path, form or {}, headers)
            try:
                answer = self._http.send(request, stream=stream)
                if answer.is_success:
                    return answer
                answer.read()
            except httpx.TransportError:
                if not repeatable or left <= 0:
                    raise
                wait: float = LOST_S
            else:
                if answer.status_code not in again or left <= 0:
                    raise ServiceError(_problem(answer))
                wait = _seconds(answer)
            time.sleep(wait)
            left -= 1


def _picture(answer: httpx.Response) -> bytes:
    """A proxy in between may answer with a page of its own and status 200, as for a login."""
    kind = answer.headers.get("content-type", "without a content type")
    if not kind.startswith("image/"):
        raise RuntimeError(f"the answer is {kind}, not a picture of the service")
    return answer.content


def _seconds(answer: httpx.Response) -> float:
    """Retry-After, where it is not a date: at most LONGEST_S."""
    wanted = answer.headers.get("retry-after", "")
    return min(float(wanted), LONGEST_S) if wanted.isdecimal() else 1


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _problem(answer: httpx.Response) -> Problem:
    """What a refusal says; a proxy in between may answer with something else."""
    try:
        problem: Problem = answer.json()
        if isinstance(problem["detail"], str):
            return problem
    except (ValueError, KeyError, TypeError):
        pass
    title = answer.reason_phrase or f"status {answer.status_code}"
    return {"type": "about:blank", "title": title, "status": answer.status_code, "detail": "", "instance": ""}
