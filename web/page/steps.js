// What each step of the chain did, and how long it took.

const STEPS = ["describe", "detect", "segment", "postprocess"];

export function makeSteps(list) {
  const rows = Object.fromEntries(STEPS.map((step) => {
    const row = document.createElement("li");
    const [name, time, note] = ["strong", "output", "span"].map((kind) => document.createElement(kind));
    row.dataset.step = step;
    name.textContent = step;
    note.className = "hint";
    row.append(name, time, note);
    list.append(row);
    return [step, { row, time, note }];
  }));
  const put = (step, state, time, note) => {
    rows[step].row.dataset.state = state;
    rows[step].time.textContent = time;
    rows[step].note.textContent = note;
  };
  let said = "";

  const reset = (time = "–", note = "") => {
    STEPS.forEach((step) => put(step, "idle", time, note));
    said = "";
  };
  reset();
  return {
    reset,
    /** A run begins: the first step that is needed works. */
    start(skipDescribe) {
      reset("");
      put(skipDescribe ? "detect" : "describe", "working", "…", "");
    },
    described({ text, score }) {
      said = `“${text}” ${score.toFixed(2)}`;
      put("describe", "done", "", said);
      put("detect", "working", "…", "");
    },
    detected({ detections }) {
      put("detect", "done", "", `${detections.length} found`);
      if (detections.length) put("segment", "working", "…", "");
    },
    finished() {
      if (rows.postprocess.row.dataset.state !== "working") put("postprocess", "working", "…", "");
    },
    /** What the summary says: times, and what came from the cache. */
    sum({ steps }) {
      const told = Object.fromEntries(steps.map((one) => [one.step, one]));
      for (const step of STEPS) {
        const { calls = 0, cached = 0, seconds = 0, model = "" } = told[step] ?? {};
        rows[step].row.dataset.calls = calls;
        rows[step].row.dataset.cached = cached;
        if (!calls && !cached) {
          put(step, "skipped", "–", "not needed");
          continue;
        }
        const notes = [step === "describe" ? said : "", calls && cached ? `${cached} from the cache` : "", model];
        const time = calls ? `${seconds.toFixed(2)} s` : "from the cache";
        put(step, calls ? "done" : "cached", time, notes.filter(Boolean).join(" · "));
      }
    },
  };
}
