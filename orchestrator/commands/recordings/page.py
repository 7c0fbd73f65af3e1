"""The page of a recording: its pictures, its times, its models, its request. One file, without scripts."""

import json

from tensorhop.orchestrator.commands.recordings.cutouts_section import cutouts_section
from tensorhop.orchestrator.commands.recordings.markup import Markup, table, tag
from tensorhop.orchestrator.commands.recordings.notices import fault_notice
from tensorhop.orchestrator.commands.recordings.timeline import timeline
from tensorhop.orchestrator.commands.recordings.views_section import views_section
from tensorhop.orchestrator.recording.document import Document
from tensorhop.orchestrator.recording.recording import Recording

MADE = "<!doctype html><!-- tensorhop show -->"  # how a page begins, by which it is known again
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
NO_PIXELS = (
    "Recorded without pixels (--record-pixels none): places, words, times and digests are known, pictures are not."
)
STYLE = """
:root { color-scheme: light dark; --ink: #1c1f23; --soft: #667078; --line: #dfe3e6; --ground: #fff; --panel: #f6f7f8;
  --bar: #3f6f9f; --bad: #b3261e; --light: #fff; --dark: #e4e7ea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --soft: #98a2ab; --line: #33383d; --ground: #16181a;
  --panel: #1f2225; --bar: #7fb0e0; --bad: #f2b8b5; --light: #2a2d30; --dark: #222527; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 32px 24px 64px; background: var(--ground); color: var(--ink);
  font: 14px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 22px; margin: 0; font-weight: 600; overflow-wrap: anywhere; }
h2 { font-size: 12px; margin: 36px 0 10px; font-weight: 600; letter-spacing: .06em; text-transform: uppercase;
  color: var(--soft); }
h3 { font-size: 15px; margin: 24px 0 8px; font-weight: 600; }
h3 small { font-weight: 400; color: var(--soft); font-size: 13px; }
p { margin: 4px 0; } .soft { color: var(--soft); } .bad { color: var(--bad); }
.notice { border-left: 3px solid var(--line); padding: 6px 12px; margin: 14px 0 0; background: var(--panel); }
.notice.fault { border-color: var(--bad); }
.photo { position: relative; display: inline-block; line-height: 0; max-width: 100%; }
.photo img { max-width: 100%; max-height: 560px; border-radius: 4px; }
.photo svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.photo rect { fill: none; stroke-width: 2px; vector-effect: non-scaling-stroke; }
.photo rect.fault { stroke-dasharray: 6 4; }
.photo span { position: absolute; transform: translateY(-100%); padding: 0 6px; color: #fff; white-space: pre;
  font-size: 12px; line-height: 18px; }
.photo .empty { width: 560px; max-width: 100%; background: var(--panel); border: 1px solid var(--line); }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 12px; }
figure { margin: 0; } figcaption { color: var(--soft); font-size: 12px; margin-top: 4px; overflow-wrap: anywhere; }
figure img, .missing { width: 100%; height: 220px; object-fit: contain; border-radius: 4px; background: var(--panel);
  display: block; }
figure.wide img { height: auto; }
figure.clear img { background: repeating-conic-gradient(var(--light) 0 25%, var(--dark) 0 50%) 0 0 / 16px 16px; }
.missing { display: grid; place-items: center; color: var(--soft); font-size: 12px; padding: 12px; text-align: center;
  border: 1px dashed var(--line); background: none; height: 72px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: 12px; white-space: nowrap; }
th, td { padding: 5px 16px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; max-width: 380px;
  overflow-wrap: break-word; }
td.number { white-space: nowrap; }
code, pre { font: 12px/1.5 ui-monospace, "SF Mono", Consolas, monospace; }
pre { background: var(--panel); padding: 12px; border-radius: 4px; overflow-x: auto; margin: 8px 0 0; }
summary { cursor: pointer; }
.time { display: grid; grid-template-columns: minmax(120px, max-content) 1fr max-content; gap: 3px 12px;
  align-items: center; font-variant-numeric: tabular-nums; }
.track { position: relative; height: 14px; background: var(--panel); border-radius: 2px; }
.track i { position: absolute; top: 2px; bottom: 2px; min-width: 2px; background: var(--bar); border-radius: 2px; }
.track i.bad { background: var(--bad); } .track i.cached { background: none; border: 1px solid var(--bar); width: 6px; }
.track i.event { width: 2px; min-width: 2px; top: 0; bottom: 0; background: var(--ink); }
@media print { body { max-width: none; } }
"""


def draw_page(recording: Recording) -> str:
    """The page of a recording, complete in one file."""
    document = recording.document
    section = views_section if recording.chain == "views" else cutouts_section
    parts = [
        tag("h1", recording.id),
        tag("p", line_of(document), "soft"),
        *([tag("div", NO_PIXELS, "notice")] if not recording.has_pixels else []),
        *([fault_notice("The request failed", recording.fault)] if recording.fault else []),
        *section(recording),
        tag("h2", "Times"),
        timeline(document),
        tag("h2", "Models"),
        models(document),
        tag("h2", "Request"),
        tag(
            "details",
            [tag("summary", "What the caller asked for"), tag("pre", json.dumps(document["request"], indent=2))],
        ),
    ]
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", f"{recording.id} · tensorhop"),
        tag("style", Markup(STYLE)),
    ]
    return f"{MADE}\n" + tag("html", [tag("head", head), tag("body", parts)], lang="en") + "\n"


def line_of(document: Document) -> str:
    """What a recording is of, in one line."""
    when = str(document["started"]).replace("T", " ").replace("+00:00", " UTC")
    return " · ".join(
        [outcome(document), f"{document['seconds']:.2f} s", when, f"{document['chain']} {document['version']}"]
    )


def outcome(document: Document) -> str:
    """How a request ended: "2 objects, 1 fault"."""
    if "fault" in document:
        return f"failed: {str(document['fault'].get('code', '')).removeprefix('CODE_')}"
    summary: Document = next((event["summary"] for event in document["events"] if "summary" in event), {})
    names = ["intervals", "kept", "views"] if document["chain"] == "views" else ["objects"]
    names += ["faults"] if summary.get("faults") else []
    return ", ".join(counted(summary.get(name, 0), name) for name in names)


def counted(count: int, names: str) -> str:
    return f"{count} {names if count != 1 else names.removesuffix('s')}"


def request_of(document: Document) -> Markup:
    text = json.dumps(document["request"], indent=2)
    return tag("details", [tag("summary", "What the caller asked for"), tag("pre", text)])


def models(document: Document) -> Markup:
    """A row for each step: what it ran, how often and how long."""
    rows = []
    for step in document["steps"]:
        model = step.get("model", {})
        digest = tag("code", model.get("digest", "")[:16], title=model.get("digest", ""))
        sent = str(step.get("transport", "")).removeprefix("TRANSPORT_").lower().replace("_", " ")
        calls = [str(step.get("calls", 0)), str(step.get("cached", 0)), f"{step.get('seconds', 0):.3f} s"]
        rows.append([step.get("service", ""), model.get("name", ""), model.get("revision", ""), digest, *calls, sent])
    if not rows:
        return tag("p", "No step was called.", "soft")
    return table(["step", "model", "revision", "digest", "calls", "cached", "time", "sent by"], rows)
