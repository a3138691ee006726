"""Node packages, unmodified, are the judges of the emulated Agentforce.

The vendor has no Python SDK of the Agent API. Its developer-relations client for Node,
`salesforce-agent-api-client`, holds a conversation; the reader of server-sent events that this
client stands on, `eventsource-client`, reads the stream in every framing. Both are installed once
per run; where that cannot be, the judge is missing and the test says so.

`SALESFORCE_AGENT_API_CLIENT` may name what npm installs in the former's place: a folder or an
archive of it, for machines whose registry lacks it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voicekit.emulator import (
    AgentFraming,
    AgentTurn,
    Emulator,
    Scenario,
    agent_messages,
    agent_sessions,
)

pytestmark = [pytest.mark.sdk, pytest.mark.emulated]

HERE = Path(__file__).parent
INSTALL_SECONDS = 40
RUN_SECONDS = 30
TEXT = "È partito ieri. Aspettalo per venerdì 🚚."
TURN = AgentTurn(text=TEXT, progress=("Un attimo",))

Run = Callable[..., Any]


def installed(package: str, folder: Path) -> Run:
    """Install a package and return what runs a script of this folder with it.

    Skips the test that asks when there is no npm, or when it cannot be had.
    """
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip(f"SDK {package}: npm and node are not installed")
    (folder / "package.json").write_text('{"private": true}')
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--install-links"]
    try:
        done = subprocess.run(  # noqa: PLW1510 - its code is read below
            [*command, package], cwd=folder, capture_output=True, timeout=INSTALL_SECONDS, text=True
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"SDK {package}: npm did not install it within {INSTALL_SECONDS} s")
    if done.returncode:
        code = re.search(r"npm error code (\S+)", done.stderr)
        pytest.skip(f"SDK {package}: npm cannot install it ({code[1] if code else 'no code'})")

    def run(script: str, *arguments: str) -> Any:
        # A bare import is looked for where the script is.
        shutil.copy(HERE / script, folder)
        ran = subprocess.run(  # noqa: PLW1510 - its error output is worth more
            [node, script, *arguments],
            cwd=folder,
            capture_output=True,
            timeout=RUN_SECONDS,
            text=True,
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return run


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Run:
    package = os.environ.get("SALESFORCE_AGENT_API_CLIENT", "salesforce-agent-api-client@^1.0.0")
    return installed(package, tmp_path_factory.mktemp("agent-api-client"))


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return installed("eventsource-client@^1.1.0", tmp_path_factory.mktemp("eventsource-client"))


def configuration(world: Any, **changed: str) -> str:
    env = world.env()
    return json.dumps(
        {
            "instanceUrl": env["AGENTFORCE_DOMAIN"],
            "clientId": env["AGENTFORCE_CLIENT_ID"],
            "clientSecret": env["AGENTFORCE_CLIENT_SECRET"],
            "agentId": env["AGENTFORCE_AGENT_ID"],
            **changed,
        }
    )


def test_the_vendors_client_holds_a_conversation(client: Run) -> None:
    """Token, session, message whole and streamed, feedback, end: all as its README has it."""
    scenario = Scenario(name="test", agent_replies=TURN, agent_chunks=3, agent_strict_sequence=True)
    with Emulator.in_thread(providers=("agentforce",), scenario=scenario) as world:
        found = client("converse.mjs", configuration(world))
        assert "error" not in found, found
        assert found["whole"]["messages"][0]["message"] == TEXT
        assert [event for event, _ in found["events"]] == [
            "PROGRESS_INDICATOR",
            *["TEXT_CHUNK"] * 3,
            "INFORM",
            "END_OF_TURN",
        ]
        chunks = [data["message"]["message"] for event, data in found["events"][1:4] if event]
        assert "".join(chunks) == TEXT
        (session,) = agent_sessions(world.journal)
        assert (session.id, session.end_reason) == (found["session"], "UserRequest")
        assert [message.variables for message in agent_messages(world.journal)] == [
            {"History": "[]"}
        ] * 2
        (feedback,) = world.journal.requests_for("agentforce", "feedback")
        assert feedback.status == 201
        assert all(record.status < 400 for record in world.journal.requests)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"clientSecret": "bad-key"}, "invalid client credentials"),
        ({"clientId": "bad-key"}, "client identifier invalid"),
        ({"agentId": "0Xw000000000001"}, "is not a valid agent ID"),
    ],
)
def test_the_vendors_client_is_refused(client: Run, changed: dict[str, str], said: str) -> None:
    """It reads refusals as it reads the vendor's."""
    with Emulator.in_thread(providers=("agentforce",), scenario="instant") as world:
        assert said in client("converse.mjs", configuration(world, **changed))["cause"]


@pytest.mark.parametrize(
    "framing",
    [
        AgentFraming(),
        AgentFraming(line_end="\r\n"),
        AgentFraming(piece_bytes=1),
        AgentFraming(heartbeat_every=0.01),
    ],
    ids=["plain", "CRLF", "one byte at a time", "comments"],
)
def test_the_reader_of_events_reads_every_framing(reader: Run, framing: AgentFraming) -> None:
    """An independent reader finds the same events, whatever the framing."""
    import urllib.request

    scenario = Scenario(
        name="test", agent_replies=TURN, agent_framing=framing, agent_first_text=0.05
    )
    with Emulator.in_thread(providers=("agentforce",), scenario=scenario) as world:
        url = world.agentforce.url

        def post(path: str, body: bytes, **headers: str) -> Any:
            request = urllib.request.Request(url + path, body, headers)
            with urllib.request.urlopen(request) as response:
                return json.load(response)

        form = b"grant_type=client_credentials&client_id=a&client_secret=b"
        token = post("/services/oauth2/token", form)["access_token"]
        start = {
            "externalSessionKey": "3e9b8d2c-51f4-4d0e-a6d1-0f1f9f0c7a11",
            "instanceConfig": {"endpoint": url},
            "streamingCapabilities": {"chunkTypes": ["Text"]},
        }
        api = "/einstein/ai-agent/v1"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        opened = post(
            f"{api}/agents/0XxHu000000XXXXKX4/sessions", json.dumps(start).encode(), **headers
        )
        message = {"message": {"sequenceId": 1, "type": "Text", "text": "?"}}
        found = reader(
            "listen.mjs",
            f"{url}{api}/sessions/{opened['sessionId']}/messages/stream",
            token,
            json.dumps(message),
        )
    assert [event for _, event, _ in found["events"]] == [
        "PROGRESS_INDICATOR",
        *["TEXT_CHUNK"] * 4,
        "INFORM",
        "END_OF_TURN",
    ]
    assert len({name for name, _, _ in found["events"]}) == 1
    assert {data["originEventId"] for _, _, data in found["events"]} == {found["events"][0][0]}
    chunks = [data["message"]["message"] for _, event, data in found["events"] if "CHUNK" in event]
    assert "".join(chunks) == found["events"][-2][2]["message"]["message"] == TEXT
    assert bool(found["comments"]) is (framing.heartbeat_every is not None)
