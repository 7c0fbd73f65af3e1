// POST /process: the form that goes out, and the events or the problem that come back.

import { askToken } from "./token.js";

let token = "", asking = null; // for servers that want one

/** What went wrong: the members of application/problem+json, or a title and a text that the page itself has. */
export class Problem extends Error {
  constructor(members) {
    super(members.detail || members.title);
    Object.assign(this, members);
  }
}

/** The connection failed before the answer, or in it. */
const lost = (error) => new Problem({ code: "NO_ANSWER", detail: String(error?.message ?? "") });

/** Sends a photo with options; a list is given once for each of its values. Throws a Problem. */
export async function post(photo, options, accept, signal) {
  const form = new FormData();
  form.append("image", photo, "photo");
  for (const [name, value] of Object.entries(options)) {
    for (const one of [value].flat()) form.append(name, one);
  }
  const used = token, headers = { Accept: accept, ...(used && { Authorization: `Bearer ${used}` }) };
  let response;
  try {
    response = await fetch("/process", { method: "POST", body: form, headers, signal });
  } catch (error) {
    throw signal?.aborted ? error : lost(error);
  }
  if (response.status === 401) {
    if (token === used) token = await (asking ??= askToken(used !== "").finally(() => (asking = null)));
    signal?.throwIfAborted();
    if (token) return post(photo, options, accept, signal);
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  const { status, statusText } = response;
  try {
    return new Problem({ status, ...(await response.json()) });
  } catch {
    return new Problem({ status, detail: `${status} ${statusText}`.trim() }); // a proxy's, for example
  }
}

/** Name and data of each event. Throws a Problem: the request failed on the way, or the stream ended too soon. */
export async function* events(response) {
  let name = "", data = [], complete = false;
  try {
    for await (const line of lines(response.body)) {
      const [, key, value] = /^([^:]*):? ?(.*)$/.exec(line);
      if (key === "event") name = value;
      else if (key === "data") data.push(value);
      else if (line === "" && data.length) {
        const row = JSON.parse(data.join("\n"));
        if (name === "problem") throw new Problem(row);
        complete ||= name === "summary";
        yield [name, row];
        [name, data] = ["", []];
      }
    }
  } catch (error) {
    if (error instanceof Problem || error.name === "AbortError") throw error;
    throw lost(error);
  }
  if (!complete) throw lost();
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = []; // parts of a line: a picture has megabytes, and is searched for its end only once
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      let start = 0, end;
      while ((end = value.indexOf("\n", start)) >= 0) {
        pending.push(value.slice(start, end));
        yield pending.join("").replace(/\r$/, "");
        pending = [];
        start = end + 1;
      }
      if (start < value.length) pending.push(value.slice(start));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** A picture of an event as a file. */
export function fileOf({ content_type, data }) {
  const text = atob(data);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return new Blob([bytes], { type: content_type });
}

/** Has the browser save a file. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
