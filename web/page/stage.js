// The large view: the photo with boxes, or a cut-out beside what it was.

import { FEW, titleOf } from "./cards.js";

const get = (id) => document.getElementById(id);

export function makeStage() {
  const drop = get("drop"), found = get("found"), compare = get("compare"), none = get("no-preview");
  const photo = get("photo"), boxes = get("boxes"), divider = get("divider");
  const views = [...get("views").querySelectorAll("input")];
  let url = "", seen = false, failed = false, useless = false, shown = null, note = "";
  let marked = [], finished = new Set(), placed = null; // drawn when the photo has been decoded, which may be later

  const fit = (frame, width, height) => {
    frame.style.setProperty("--w", width);
    frame.style.setProperty("--h", height);
  };
  const show = () => {
    const view = views.find((one) => one.checked).value;
    drop.hidden = url !== "" && !useless;
    found.hidden = !seen || view !== "found";
    none.hidden = !failed || useless || view !== "found";
    compare.hidden = view !== "compare";
  };
  const divide = (at) => {
    divider.value = at;
    compare.style.setProperty("--at", `${at}%`);
  };
  const pick = (view) => {
    views.find((one) => one.value === view).checked = true;
    show();
  };

  const percent = (value, of) => `${Math.min(100, Math.max(0, (100 * value) / of))}%`;
  const draw = () => {
    const width = photo.naturalWidth, height = photo.naturalHeight;
    if (!seen) return;
    boxes.replaceChildren(...marked.flatMap((one) => {
      const { index, score, box: [x0, y0, x1, y1] } = one;
      const box = document.createElement("div"), tag = document.createElement("span");
      const after = x0 + x1 > width; // the side on which there is more room for the label
      box.className = finished.has(index) ? "box done" : "box";
      box.dataset.index = index;
      box.style.left = percent(x0, width);
      box.style.top = percent(y0, height);
      box.style.width = percent(x1 - x0, width);
      box.style.height = percent(y1 - y0, height);
      const name = one.unknown_phrase ? titleOf(one) : `${titleOf(one)} ${score.toFixed(2)}`;
      tag.textContent = marked.length > FEW ? index + 1 : name;
      tag.style[after ? "right" : "left"] = percent(after ? width - x1 : x0, width);
      tag.style.maxWidth = percent(after ? x1 : width - x0, width);
      if (y0 < 0.12 * height) tag.style.top = percent(y0, height);
      else tag.style.bottom = percent(height - y0, height);
      return [box, tag];
    }));
  };
  const place = () => {
    const before = get("before");
    before.hidden = !seen;
    if (!seen || !placed) return;
    const { width, height, scale, x, y } = placed;
    before.style.left = `${(100 * x) / width}%`;
    before.style.top = `${(100 * y) / height}%`;
    before.style.width = `${(100 * scale * photo.naturalWidth) / width}%`;
  };

  photo.addEventListener("load", () => {
    seen = true;
    failed = useless = false;
    const { naturalWidth: width, naturalHeight: height } = photo;
    fit(found, width, height);
    get("stage").style.setProperty("--ratio", Math.min(3, Math.max(1, width / height)));
    get("size").textContent = `${width} × ${height}${note}`;
    draw();
    place();
    show();
  });
  photo.addEventListener("error", () => {
    seen = false;
    failed = true;
    get("size").textContent = `no preview${note}`;
    show();
  });
  views.forEach((one) => one.addEventListener("change", show));
  divider.addEventListener("input", () => divide(divider.value));

  return {
    /** Shows another photo, without boxes; the first of `count` files that came. */
    load(file, count) {
      URL.revokeObjectURL(url);
      url = URL.createObjectURL(file);
      seen = failed = useless = false;
      note = count > 1 ? `, the first of ${count} files` : "";
      none.textContent = "No preview: this browser cannot show the file. It is cut out nevertheless.";
      photo.src = get("before").src = url;
      get("name").textContent = file.name || "Pasted photo";
      get("name").title = file.name;
      get("size").textContent = "";
      get("bar").hidden = false;
      this.clear();
    },
    clear() {
      boxes.replaceChildren();
      marked = [];
      shown = placed = null;
      divide(50);
      views[1].disabled = true;
      pick("found");
    },
    /** What the server cannot use either, and nobody sees, makes room for another photo. */
    lacks(it) {
      useless = it === true && !seen;
      show();
    },
    /** Draws a box for each detection. */
    mark(detections) {
      marked = detections;
      finished = new Set();
      draw();
    },
    finish(index) {
      finished.add(index);
      boxes.querySelector(`[data-index="${index}"]`)?.classList.add("done");
    },
    /** Compares a cut-out with the photo, which lies on its canvas where `placement` says. */
    compare(index, source, { canvas: [width, height], scale, x, y }) {
      shown = index;
      placed = { width, height, scale, x, y };
      fit(compare, width, height);
      get("after").src = source;
      if (failed) divide(0);
      place();
      views[1].disabled = false;
    },
    /** Which object is compared; null if none is. */
    get compared() { return shown; },
    pick,
  };
}
