// Problems in a person's words; what the server said goes into the details.

import { nameOf, tooLarge } from "./photo.js";

const NO_TOKEN = "Without it, nothing is cut out.";
const STOPPED = "It has stopped, or the connection is gone. Start it with tensorhop up, then try again.";
const SLOW = "The connection is too slow for this photo. A smaller file may help.";
const GAVE_UP = "The server gave up on this photo. Try again, or take a smaller one.";

/** Title, text and details; `again`: trying again may help; `words`: what is wrong are the words in the field. */
export function explain(problem, file) {
  const { status = 0, detail = "", field = "", parameter = field } = problem;
  const told = { title: "", text: "", details: detailsOf(problem), again: true, words: false };
  const say = (title, text, more = {}) => ({ ...told, title, text, ...more });
  const once = { again: false }; // the same request would fail again

  if (problem.text !== undefined) return say(problem.title, problem.text, { ...once, details: "" }); // the page's own
  if (status === 413) {
    const { title, text } = tooLarge(file);
    return say(title, text, once);
  }
  if (/^phrases\b/.test(parameter)) return say("", about("This", detail, field), { ...once, words: true });
  if (/^image\b/.test(field)) {
    return say(`${nameOf(file)} cannot be used`, `${about(nameOf(file), detail, field)} Choose another photo.`, once);
  }
  if (/^output\.background_image\b/.test(field)) {
    return say("The background cannot be used", `${about("The picture", detail, field)} Choose another one.`, once);
  }
  return general(problem, say, once);
}

function general(problem, say, once) {
  const { status, code = "", detail = "", step = "", retryable, retry_after: wait } = problem;
  const soon = wait ? `Try again in ${Math.ceil(wait)} s.` : "Try again in a moment.";
  if (code === "NO_ANSWER") return say("The server does not answer", STOPPED);
  if (!status) return say("The page itself failed", String(problem.message ?? problem));
  if (status === 401) return say("This server needs a token", NO_TOKEN);
  if (status === 403) return say("The server takes no requests from this page", detail, once);
  if (status === 408) return say("Sending took too long", SLOW);
  if (status === 429 && retryable === false) return say("That is too much for the server", detail, once);
  if (status === 429 || (status === 503 && !step && wait)) {
    return say("The server is busy", `It has more requests than it can take. ${soon}`);
  }
  if (status === 502 || status === 503) {
    return say(step ? `The service ${step} does not answer` : "The server is not ready", `Your photo is fine. ${soon}`);
  }
  if (status === 504) return say("That took too long", GAVE_UP);
  if (status >= 500) return say("Something failed on the server", "Its log says more. Trying again may help.");
  return say("The server refused the request", detail, once);
}

/** The server's sentence, about what a reader knows instead of about a field. */
function about(subject, detail, field) {
  return `${detail.startsWith(field) ? subject + detail.slice(field.length) : detail}.`.replace(/\.\.$/, ".");
}

function detailsOf({ status, code = "", detail = "", field = "", parameter = field, step = "", request_id = "" }) {
  const rows = { Message: detail, Field: parameter, Step: step, Code: [code, status].filter(Boolean).join(" "), Request: request_id };
  return Object.entries(rows).filter(([, value]) => value).map(([name, value]) => `${name}: ${value}`).join("\n");
}
