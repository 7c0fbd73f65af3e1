// The page: a photo comes in, is sent, and the cut-outs appear as they arrive.

import { Problem, events, post, save } from "./api.js";
import { makeCards } from "./cards.js";
import { makeDial } from "./dial.js";
import { keepFocus, reveal } from "./focus.js";
import { takePhotos } from "./incoming.js";
import { limits, problemWith } from "./photo.js";
import { explain } from "./problems.js";
import { makeStage } from "./stage.js";
import { makeSteps } from "./steps.js";

const CALM = 250; // milliseconds in which nothing may change before a changed choice is sent
const get = (id) => document.getElementById(id);
const finish = get("finish");
const stage = makeStage(), steps = makeSteps(get("steps"));
const dial = makeDial(get("dial"), 60, () => again(CALM));
const cards = makeCards(get("cards"), { stem, arrived, selected });
let photo = null, running = null, timer = 0, ground = "", taking = 0, typing = false, retry = null;

keepFocus();
limits(); // to be known before the first photo comes
const { choose } = takePhotos(take, (title, text) => complain(new Problem({ title, text })));

async function take(files) {
  const own = ++taking, problem = await problemWith(files[0]);
  if (own !== taking) return; // another one came meanwhile
  if (problem) return complain(problem);
  [photo] = files;
  get("main").classList.add("working");
  stage.load(photo, files.length);
  run(true);
}

// What is asked for.

function phrases() {
  return get("phrases").value.split(",").map((one) => one.trim()).filter(Boolean);
}

function options() {
  const { shadow, format, center, fit, ground: chosen } = Object.fromEntries(new FormData(finish));
  const wanted = { phrases: phrases(), shadow, rot: dial.value, format, center };
  const [picture] = get("ground-file").files;
  if (chosen === "picture") return picture ? { ...wanted, background_image: picture, background_fit: fit } : wanted;
  const background = chosen === "colour" ? get("colour").value : chosen;
  return background ? { ...wanted, background } : wanted;
}

function stem() {
  return (photo.name || "photo").replace(/\.[^.]*$/, "") || "photo";
}

get("phrases").addEventListener("input", () => (typing = true));
get("phrases").addEventListener("blur", () => (typing = false));
get("look").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!photo) return choose();
  if (matchMedia("(pointer: coarse)").matches) get("results").focus(); // a phone's keyboard covers half of the page
  run(true);
});
finish.addEventListener("submit", (event) => event.preventDefault());
finish.addEventListener("input", ({ target }) => {
  const { ground: grounds, format } = finish.elements;
  const { value: shadow } = finish.elements.shadow;
  const jpeg = format.value === "jpeg" && shadow !== "backdrop"; // a backdrop is opaque by itself
  if (target.name === "ground") ground = target.value;
  if (target.name === "format" || target.name === "shadow") grounds.value = jpeg && !ground ? "white" : ground;
  grounds[0].disabled = jpeg;
  get("jpeg-hint").hidden = !jpeg;
  get("colour-row").hidden = grounds.value !== "colour";
  get("picture-row").hidden = grounds.value !== "picture";
  get("no-ground").textContent = shadow === "backdrop" ? "Light grey" : "Transparent";
  dial.enable(["cast", "backdrop", "learned"].includes(shadow));
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
  const count = { fresh, wanted: 0, done: 0, failed: 0 };
  get("problem").hidden = true;
  enable(false);
  get("cards").setAttribute("aria-busy", "true");
  if (fresh) {
    typing = false;
    forgive();
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
    steps.reset();
    say("");
    complain(error, () => run(fresh));
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
    const warned = event.warnings.join("\n");
    if (get("words").textContent !== warned) get("words").textContent = warned; // is read out once
    say(`${count.wanted} found, 0 finished`);
    if (count.wanted) tellEmpty("", "");
    else nothingFound();
    if (count.fresh) reveal(get("cards").firstElementChild ?? get("empty"), typing);
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
    enable(done > 0);
    const names = `${done} ${done === 1 ? "cut-out" : "cut-outs"} in ${event.seconds.toFixed(2)} s`;
    say(!wanted ? "" : failed ? `${names}; ${failed} failed` : names);
  },
};

function arrived(card) {
  if (stage.compared === null || stage.compared === card.event.index) enlarge(card);
}

function selected(card) {
  enlarge(card);
  stage.pick("compare");
  reveal(get("stage"));
}

function enlarge({ event, url }) {
  stage.compare(event.index, url, event.placement);
  cards.mark(event.index);
  get("preview").src = url;
  get("preview").hidden = false;
}

// What is told.

function say(text) {
  get("status").textContent = text;
}

function nothingFound() {
  const words = phrases(), list = new Intl.ListFormat("en", { type: "disjunction" }).format(words.map((one) => `“${one}”`));
  tellEmpty("Nothing was found", words.length
    ? `There seems to be no ${list} in this photo. Try other words, or leave the field empty.`
    : "Say what to look for, in the field above.");
}

function tellEmpty(title, text) {
  const [head, body] = get("empty").children;
  head.textContent = title;
  body.textContent = text;
  get("empty").hidden = !title;
}

/** Takes back what was told of an earlier run. */
function forgive() {
  get("words").textContent = "";
  get("phrases").removeAttribute("aria-invalid");
  tellEmpty("", "");
}

/** Tells a problem where it is seen. `repeat` does again what failed. */
function complain(problem, repeat = null) {
  if (!(problem instanceof Problem)) console.error(problem);
  const { title, text, details, again, words } = explain(problem, photo);
  if (words) {
    get("words").textContent = text;
    get("phrases").setAttribute("aria-invalid", "true");
    tellEmpty("Nothing was cut out", "Change the words, then try again.");
    return reveal(get("look"), typing);
  }
  retry = again ? repeat : null;
  get("problem-title").textContent = title;
  get("problem-text").textContent = text;
  get("problem-detail").textContent = details;
  get("problem-more").hidden = !details;
  get("problem-more").open = false;
  get("retry").hidden = !retry;
  get("problem").hidden = false;
  stage.lacks(problem.field?.startsWith("image"));
  reveal(get("problem"), typing);
}

get("retry").addEventListener("click", () => retry?.());

// All in one file.

function enable(on) {
  get("all").setAttribute("aria-disabled", String(!on)); // a disabled button would lose the focus
}

get("all").addEventListener("click", download);

async function download() {
  if (get("all").getAttribute("aria-disabled") === "true") return;
  enable(false);
  try {
    const response = await post(photo, options(), "application/zip");
    save(await response.blob(), `${stem()}.zip`);
    get("problem").hidden = true;
  } catch (error) {
    complain(error, download);
  } finally {
    enable(true);
  }
}
