"""What a page says where something failed."""

from tensorhop.orchestrator.commands.recordings.markup import Markup, tag
from tensorhop.orchestrator.recording.document import Document


def fault_notice(title: str, fault: Document) -> Markup:
    code = str(fault.get("code", "")).removeprefix("CODE_")
    where = f" in {fault['service']}" if fault.get("service") else ""
    return tag("div", [tag("b", f"{title}{where}: {code}", "bad"), tag("p", fault.get("message", ""))], "notice fault")
