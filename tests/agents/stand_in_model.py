"""A model on loopback that has three wishes: a command that will be denied, one that will not, and
a file to write.

It speaks as much of four interfaces (Anthropic Messages, OpenAI Responses and Chat Completions,
Gemini) as the agents need to take one step after the other; which step is next it reads from what
was said before.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WISHES = ("touch denied-file", "touch allowed-file", "written-file")
PATCH = "*** Begin Patch\n*** Add File: written-file\n+x\n*** End Patch\n"
_ZERO = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}


class Model(ThreadingHTTPServer):
    """`said` has every request as text."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.said: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def running() -> Iterator[Model]:
    model = Model()
    thread = threading.Thread(target=model.serve_forever)
    thread.start()
    try:
        yield model
    finally:
        model.shutdown()
        thread.join()
        model.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Model

    def log_message(self, *_: Any) -> None:
        """Stderr belongs to the test."""

    def do_GET(self) -> None:
        self._answer({"data": [], "models": []})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.said.append(json.dumps(body))
        path = self.path.partition("?")[0]
        for ending, speak in _INTERFACES.items():
            if path.endswith(ending):
                self._stream(speak(body))
                return
        self._answer({})

    def _stream(self, events: list[tuple[str, dict[str, Any]]]) -> None:
        lines = (f"event: {name}\ndata: {json.dumps(event)}\n\n" for name, event in events)
        self._send("".join(lines).replace("event: \n", "").encode(), "text/event-stream")

    def _answer(self, value: Any) -> None:
        self._send(json.dumps(value).encode(), "application/json")

    def _send(self, data: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def next_call(history: Any, tools: set[str]) -> tuple[str, dict[str, Any]] | None:
    """The tool that is wished for next, with its arguments in the words of the agent that has it;
    None: done.
    """
    text = json.dumps(history)
    step = next((number for number, wish in enumerate(WISHES) if wish not in text), len(WISHES))
    shell = next(
        (name for name in ("Bash", "exec_command", "bash", "run_shell_command") if name in tools),
        None,
    )
    if shell is None or step == len(WISHES):
        return None
    if step < 2:
        name = "cmd" if shell == "exec_command" else "command"
        return shell, {name: WISHES[step], **({} if name == "cmd" else {"description": "x"})}
    if shell == "exec_command":
        return shell, {"cmd": f"apply_patch <<'EOF'\n{PATCH}EOF"}
    return next((name, arguments) for name, arguments in _WRITERS.items() if name in tools)


_WRITERS: dict[str, dict[str, Any]] = {
    "Write": {"file_path": "written-file", "content": "x"},
    "write": {"filePath": "written-file", "content": "x"},
    "write_file": {"file_path": "written-file", "content": "x"},
    "create": {"path": "written-file", "file_text": "x"},
}


def _messages(body: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    call = next_call(body["messages"], {tool["name"] for tool in body.get("tools", ())})
    size = len(json.dumps(body["messages"]))  # an id of its own for each message
    block: dict[str, Any] = {"type": "text", "text": ""}
    delta: dict[str, Any] = {"type": "text_delta", "text": "done"}
    if call:
        block = {"type": "tool_use", "id": f"toolu_{size}", "name": call[0], "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(call[1])}
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {
        "id": f"m{size}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [],
    }
    stop = {"stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None}
    events: list[dict[str, Any]] = [
        {
            "type": "message_start",
            "message": message | {"stop_reason": None, "stop_sequence": None, "usage": usage},
        },
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in events]


def _responses(body: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    call = next_call(body["input"], {tool.get("name", "") for tool in body.get("tools", ())})
    said = {"type": "output_text", "text": "done", "annotations": []}
    item: dict[str, Any] = {
        "type": "message",
        "id": "i",
        "role": "assistant",
        "status": "completed",
        "content": [said],
    }
    if call:
        known = {"name": call[0], "arguments": json.dumps(call[1]), "status": "completed"}
        item = {
            "type": "function_call",
            "id": "fc",
            "call_id": f"call_{len(json.dumps(body['input']))}",
            **known,
        }
    details = {
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    whole = {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "model": body["model"],
        "usage": _ZERO | details,
    }
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": whole | {"status": "in_progress", "output": []}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {
            "type": "response.completed",
            "response": whole | {"status": "completed", "output": [item]},
        },
    ]
    return [(event["type"], event) for event in events]


def _chat(body: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    call = next_call(body["messages"], {tool["function"]["name"] for tool in body.get("tools", ())})
    delta: dict[str, Any] = {"role": "assistant", "content": "done"}
    if call:
        function = {"name": call[0], "arguments": json.dumps(call[1])}
        one = {
            "index": 0,
            "id": f"call_{len(json.dumps(body['messages']))}",
            "type": "function",
            "function": function,
        }
        delta = {"role": "assistant", "content": None, "tool_calls": [one]}
    base = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    end = {"index": 0, "delta": {}, "finish_reason": "tool_calls" if call else "stop"}
    first = base | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    return [("", first), ("", base | {"choices": [end], "usage": usage})]


def _gemini(body: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    declared = [
        one["name"]
        for tool in body.get("tools", ())
        for one in tool.get("functionDeclarations", ())
    ]
    call = next_call(body["contents"], set(declared))
    part = {"functionCall": {"name": call[0], "args": call[1]}} if call else {"text": "done"}
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    return [("", {"candidates": [candidate], "usageMetadata": usage})]


_INTERFACES = {
    "/messages": _messages,
    "/responses": _responses,
    "/chat/completions": _chat,
    ":streamGenerateContent": _gemini,
}
