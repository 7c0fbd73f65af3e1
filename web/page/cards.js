// The cut-outs: a card for each object, from the moment it is found.

import { fileOf } from "./api.js";

export const FEW = 4; // objects whose boxes have room for their names; more than these have numbers
const FILES = { "image/png": ["PNG", "png"], "image/webp": ["WebP", "webp"], "image/jpeg": ["JPEG", "jpg"] };

/** `arrived` is called with each picture that is there, `selected` with the one that a reader wants to see large. */
export function makeCards(list, { stem, arrived, selected }) {
  const cards = new Map();
  let many = false;

  const named = (one) => (many ? `${one.index + 1}. ${titleOf(one)}` : titleOf(one));
  const add = (index) => {
    const item = document.createElement("li");
    const picture = element("button", "picture checker"), image = element("img");
    const label = element("span", "label"), facts = element("span", "hint"), link = element("a", "button");
    const caption = element("div", "caption"), words = element("p");
    picture.type = "button";
    picture.disabled = true;
    image.hidden = link.hidden = true;
    picture.append(image);
    words.append(label, facts);
    caption.append(words, link);
    item.append(picture, caption);
    item.dataset.index = index;
    const card = { item, picture, image, label, facts, link, url: "", event: null };
    picture.addEventListener("click", () => selected(card));
    cards.set(index, card);
    list.append(item);
    return card;
  };
  const drop = (index) => {
    const card = cards.get(index);
    URL.revokeObjectURL(card.url);
    card.item.remove();
    cards.delete(index);
  };

  return {
    clear() { [...cards.keys()].forEach(drop); },
    /** Makes room for what was found; a picture that is there already stays until its successor has come. */
    expect(detections) {
      many = detections.length > FEW;
      const wanted = new Set(detections.map(({ index }) => index));
      [...cards.keys()].filter((index) => !wanted.has(index)).forEach(drop);
      for (const one of detections) {
        const card = cards.get(one.index) ?? add(one.index);
        card.item.className = "waiting";
        card.label.textContent = named(one);
        card.facts.textContent = scoreOf(one);
      }
    },
    deliver(event) {
      const { index, seconds, picture } = event, label = named(event);
      const card = cards.get(index) ?? add(index), old = card.url;
      const [name, suffix] = FILES[picture.content_type];
      card.url = URL.createObjectURL(fileOf(picture));
      card.event = event;
      card.item.className = "";
      card.image.onload = () => URL.revokeObjectURL(old);
      card.image.src = card.url;
      card.image.alt = `Cut-out: ${label}`;
      card.label.textContent = label;
      card.facts.textContent = `${scoreOf(event)} · ${seconds.toFixed(2)} s`;
      card.link.href = card.url;
      card.link.download = `${stem()}-${index}.${suffix}`;
      card.link.textContent = `↓ ${name}`;
      card.link.setAttribute("aria-label", `Download ${label} as ${name}`);
      card.picture.setAttribute("aria-label", `Compare ${label} with the photo`);
      card.image.hidden = card.link.hidden = card.picture.disabled = false;
      arrived(card);
    },
    fail(event) {
      const { index, step, message } = event;
      const card = cards.get(index) ?? add(index);
      card.item.className = "failed";
      card.label.textContent = named(event);
      card.facts.textContent = `${step} failed: ${message}`;
      card.image.hidden = card.link.hidden = card.picture.disabled = true;
    },
    /** Which object is shown large. */
    mark(selected) {
      for (const [index, { picture }] of cards) picture.setAttribute("aria-pressed", String(index === selected));
    },
    /** Nothing more will come. */
    settle() {
      for (const { item } of cards.values()) item.classList.remove("waiting");
    },
  };
}

/** What an object is called. A word that the model does not know names nothing. */
export const titleOf = ({ index, label, unknown_phrase }) => (unknown_phrase ? `Object ${index + 1}` : label);
const scoreOf = ({ score, unknown_phrase }) => (unknown_phrase ? "stands out" : score.toFixed(2));

function element(name, className = "") {
  const made = document.createElement(name);
  made.className = className;
  return made;
}
