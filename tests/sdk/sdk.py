"""Uses `keepwatch simulate` through the vendor's unmodified Python SDK.

tests/program/sdk.rs starts two simulators with scenario.toml, the second one on the free plan. BROWSERBASE_BASE_URL
(which the SDK reads) and FREE_BASE_URL name them.
"""

import os
import time

import browserbase
from browserbase import Browserbase

BUSY = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de"
PROJECT = os.environ["BROWSERBASE_PROJECT_ID"]


def refused(error_class, status, call):
    """Asserts that `call` raises the SDK's error class with this HTTP status, and returns the error."""
    try:
        call()
    except error_class as error:
        assert error.status_code == status, error
        assert error.body["statusCode"] == status, error.body
        return error
    raise AssertionError(f"no {error_class.__name__}")


def wait_for(bb, session, status):
    end = time.monotonic() + 30
    while (seen := bb.sessions.retrieve(session).status) != status:
        assert time.monotonic() < end, f"{session} stays {seen}"
        time.sleep(0.05)


bb = Browserbase()

created = bb.sessions.create(
    project_id=PROJECT,
    keep_alive=True,
    api_timeout=900,
    region="eu-central-1",
    proxies=True,
    browser_settings={"viewport": {"width": 1280, "height": 720}},
    user_metadata={"owner": "sdk", "run": {"id": "7"}},
)
assert created.status == "PENDING" and created.keep_alive and created.region == "eu-central-1", created
assert created.connect_url.startswith("wss://") and created.selenium_remote_url and created.signing_key
assert (created.expires_at - created.started_at).total_seconds() == 900
wait_for(bb, created.id, "RUNNING")

retrieved = bb.sessions.retrieve(created.id)
assert retrieved.user_metadata == {"owner": "sdk", "run": {"id": "7"}}
assert retrieved.signing_key != created.signing_key

assert {it.id for it in bb.sessions.list()} == {BUSY, created.id}
assert {it.id for it in bb.sessions.list(status="RUNNING")} == {BUSY, created.id}
assert bb.sessions.list(status="ERROR") == []
assert [it.id for it in bb.sessions.list(q="user_metadata['run']['id']:'7'")] == [created.id]

urls = bb.sessions.debug(created.id)
assert urls.debugger_fullscreen_url and urls.ws_url and urls.pages[0].debugger_url, urls
assert bb.sessions.logs.list(created.id) == []
assert bb.sessions.logs.list(BUSY)[0].method == "Page.navigate"

other = bb.sessions.create()
full = refused(browserbase.RateLimitError, 429, lambda: bb.with_options(max_retries=0).sessions.create())
assert "max concurrent sessions limit (limit 3, currently 3)" in str(full), full
assert full.response.headers["x-ratelimit-limit"] == "3" and int(full.response.headers["retry-after"]) > 0

releasing = bb.sessions.update(created.id, status="REQUEST_RELEASE", project_id=PROJECT)
assert releasing.status == "RUNNING", "the release is immediate"
wait_for(bb, created.id, "COMPLETED")
assert bb.sessions.update(created.id, status="REQUEST_RELEASE").status == "COMPLETED"
assert bb.sessions.retrieve(created.id).ended_at is not None
bb.sessions.update(other.id, status="REQUEST_RELEASE")

refused(browserbase.NotFoundError, 404, lambda: bb.sessions.retrieve("no-such-session"))
too_long = refused(browserbase.BadRequestError, 400, lambda: bb.sessions.create(api_timeout=21_601))
assert too_long.body["message"] == "body/timeout must be <= 21600"
free = Browserbase(base_url=os.environ["FREE_BASE_URL"])
no_keep_alive = refused(browserbase.PermissionDeniedError, 403, lambda: free.sessions.create(keep_alive=True))
assert no_keep_alive.body["message"] == "Keep alive sessions are not supported on the FREE plan"

assert [it.id for it in bb.projects.list()] == [PROJECT]
project = bb.projects.retrieve(PROJECT)
assert project.concurrency == 3 and project.default_timeout == 300
usage = bb.projects.usage(PROJECT)
assert usage.browser_minutes >= 5 and usage.proxy_bytes >= 240_000

print(f"browserbase {browserbase.__version__}: works")
