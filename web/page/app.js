// The page: a photo comes in, is sent, and the cut-outs appear as they arrive.

import { Problem, events, post, save } from "./api.js";
import { makeCards } from "./cards.js";
import { makeDial } from "./dial.js";
import { makeStage } from "./stage.js";
import { makeSteps } from "./steps.js";

const CALM = 250; // milliseconds in which nothing may change before a changed choice is sent
const get = (id) => document.getElementById(id);
const finish = get("finish");
const stage = makeStage(), steps = makeSteps(get("steps"));
const dial = makeDial(get("dial"), 60, () => again(CALM));
const cards = makeCards(get("cards"), { stem, arrived, selected });
let photo = null, running = null, timer = 0, ground = "";

// The photo: dropped, chosen, pasted, or the sample.

function take(file) {
  photo = file;
  stage.load(file);
  run(true);
}

async function takeSample() {
  try {
    const response = await fetch("/sample.jpg");
    if (!response.ok) throw new Error();
    take(new File([await response.blob()], "sample.jpg", { type: "image/jpeg" }));
  } catch {
    complain(new Problem({ title: "No sample", detail: "The sample photo could not be loaded." }));
  }
}

const choose = () => get("file").click();
get("choose").addEventListener("click", choose);
get("another").addEventListener("click", choose);
get("sample").addEventListener("click", takeSample);
get("file").addEventListener("change", ({ target }) => {
  if (target.files[0]) take(target.files[0]);
  target.value = ""; // the same file again is a choice too
});
document.addEventListener("paste", (event) => {
  const [file] = event.clipboardData.files;
  if (file) take(file);
});
const hasFile = (event) => event.dataTransfer?.types.includes("Files");
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    get("stage").classList.add("target");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) get("stage").classList.remove("target");
});
document.addEventListener("drop", (event) => {
  if (!hasFile(event)) return;
  event.preventDefault();
  get("stage").classList.remove("target");
  if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
});

// What is asked for.

function phrases() {
  return get("phrases").value.split(",").map((one) => one.trim()).filter(Boolean);
}

function options() {
  const { shadow, format, center } = Object.fromEntries(new FormData(finish));
  const wanted = { phrases: phrases(), shadow, rot: dial.value, format, center };
  const background = finish.elements.ground.value === "colour" ? get("colour").value : finish.elements.ground.value;
  return background ? { ...wanted, background } : wanted;
}

function stem() {
  return (photo.name || "photo").replace(/\.[^.]*$/, "") || "photo";
}

get("look").addEventListener("submit", (event) => {
  event.preventDefault();
  if (photo) run(true);
  else choose();
});
finish.addEventListener("submit", (event) => event.preventDefault());
finish.addEventListener("input", ({ target }) => {
  const { ground: grounds, format } = finish.elements;
  const jpeg = format.value === "jpeg";
  if (target.name === "ground") ground = target.value;
  if (target.name === "format") grounds.value = jpeg && !ground ? "white" : ground;
  grounds[0].disabled = jpeg;
  get("jpeg-hint").hidden = !jpeg;
  get("colour-row").hidden = grounds.value !== "colour";
  dial.enable(finish.elements.shadow.value === "cast");
  again(target.id === "colour" ? CALM : 0);
});

/** Finish the same objects in another way, soon. What is under way is of no use any more. */
function again(wait) {
  if (!photo) return;
  get("cards").setAttribute("aria-busy", "true");
  clearTimeout(timer);
  timer = setTimeout(() => run(false), wait);
}

// A run, and what it answers.

async function run(fresh) {
  clearTimeout(timer);
  timer = 0;
  running?.abort();
  const own = (running = new AbortController());
  const count = { wanted: 0, done: 0, failed: 0 };
  get("problem").hidden = get("warnings").hidden = true;
  get("all").disabled = true;
  get("cards").setAttribute("aria-busy", "true");
  if (fresh) {
    cards.clear();
    stage.clear();
  }
  steps.start(phrases().length > 0);
  say(fresh ? "Looking at the photo …" : "Finishing again …");
  try {
    const response = await post(photo, options(), "text/event-stream", own.signal);
    for await (const [name, event] of events(response)) {
      if (own.signal.aborted) return;
      if (name in answers) answers[name](event, count);
    }
  } catch (error) {
    if (own.signal.aborted) return;
    complain(error);
  } finally {
    if (running === own) {
      running = null;
      cards.settle();
      if (!timer) get("cards").removeAttribute("aria-busy");
    }
  }
}

const answers = {
  description: (event) => steps.described(event),
  detections(event, count) {
    count.wanted = event.detections.length;
    stage.mark(event.detections);
    cards.expect(event.detections);
    steps.detected(event);
    get("warnings").textContent = event.warnings.join(" ");
    get("warnings").hidden = !event.warnings.length;
    say(`${count.wanted} found, 0 finished`);
  },
  object(event, count) {
    cards.deliver(event);
    stage.finish(event.index);
    steps.finished();
    say(`${++count.done} of ${count.wanted} finished`);
  },
  fault(event, count) {
    cards.fail(event);
    count.failed++;
  },
  summary(event, { wanted, done, failed }) {
    steps.sum(event);
    get("all").disabled = !done;
    const names = `${done} ${done === 1 ? "cut-out" : "cut-outs"} in ${event.seconds.toFixed(2)} s`;
    say(!wanted ? "Nothing was found. Try other words." : failed ? `${names}; ${failed} failed` : names);
  },
};

function arrived(card) {
  if (stage.compared === null || stage.compared === card.event.index) enlarge(card);
}

function selected(card) {
  enlarge(card);
  stage.pick("compare");
  get("stage").scrollIntoView({ block: "nearest" });
}

function enlarge({ event, url }) {
  stage.compare(event.index, url, event.placement);
  cards.mark(event.index);
}

function say(text) {
  get("status").textContent = text;
}

function complain(problem) {
  if (!(problem instanceof Problem)) console.error(problem);
  get("problem-title").textContent = problem.title ?? "The page itself failed";
  get("problem-detail").textContent = problem.detail ?? String(problem);
  get("problem-field").textContent = problem.field ? `Field: ${problem.field}` : "";
  get("problem").hidden = false;
  steps.reset();
  say("");
}

get("all").addEventListener("click", async ({ currentTarget: button }) => {
  button.disabled = true;
  try {
    const response = await post(photo, options(), "application/zip");
    save(await response.blob(), `${stem()}.zip`);
  } catch (error) {
    complain(error);
  } finally {
    button.disabled = false;
  }
});
