// The large view: the photo with boxes, or a cut-out beside what it was.

const get = (id) => document.getElementById(id);

export function makeStage() {
  const drop = get("drop"), found = get("found"), compare = get("compare"), none = get("no-preview");
  const photo = get("photo"), boxes = get("boxes"), divider = get("divider");
  const views = [...get("views").querySelectorAll("input")];
  let url = "", seen = false, shown = null;

  const fit = (frame, width, height) => {
    frame.style.setProperty("--w", width);
    frame.style.setProperty("--h", height);
  };
  const show = () => {
    const view = views.find((one) => one.checked).value;
    drop.hidden = url !== "";
    found.hidden = !seen || view !== "found";
    none.hidden = !url || seen || view !== "found";
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

  photo.addEventListener("load", () => {
    seen = true;
    const { naturalWidth: width, naturalHeight: height } = photo;
    fit(found, width, height);
    get("stage").style.setProperty("--ratio", Math.min(2.4, Math.max(1, width / height)));
    get("size").textContent = `${width} × ${height}`;
    show();
  });
  photo.addEventListener("error", () => {
    seen = false;
    show();
  });
  views.forEach((one) => one.addEventListener("change", show));
  divider.addEventListener("input", () => divide(divider.value));

  return {
    /** Shows another photo, without boxes. */
    load(file) {
      URL.revokeObjectURL(url);
      url = URL.createObjectURL(file);
      seen = false;
      photo.src = get("before").src = url;
      get("name").textContent = file.name || "Pasted photo";
      get("size").textContent = "";
      get("bar").hidden = false;
      this.clear();
    },
    clear() {
      boxes.replaceChildren();
      shown = null;
      divide(50);
      views[1].disabled = true;
      pick("found");
    },
    /** Draws a box for each detection. */
    mark(detections) {
      const width = photo.naturalWidth, height = photo.naturalHeight;
      const percent = (value, of) => `${Math.min(100, Math.max(0, (100 * value) / of))}%`;
      boxes.replaceChildren(...detections.map(({ index, label, score, box: [x0, y0, x1, y1] }) => {
        const box = document.createElement("div"), tag = document.createElement("span");
        box.className = "box";
        box.dataset.index = index;
        box.style.left = percent(x0, width);
        box.style.top = percent(y0, height);
        box.style.width = percent(x1 - x0, width);
        box.style.height = percent(y1 - y0, height);
        tag.textContent = `${label} ${score.toFixed(2)}`;
        if (y0 < 0.08 * height) tag.className = "inside";
        box.append(tag);
        return box;
      }));
    },
    finish(index) {
      boxes.querySelector(`[data-index="${index}"]`)?.classList.add("done");
    },
    /** Compares a cut-out with the photo, which lies on its canvas where `placement` says. */
    compare(index, source, { canvas: [width, height], scale, x, y }) {
      const before = get("before");
      before.hidden = !seen;
      if (!seen) divide(0);
      shown = index;
      fit(compare, width, height);
      get("after").src = source;
      before.style.left = `${(100 * x) / width}%`;
      before.style.top = `${(100 * y) / height}%`;
      before.style.width = `${(100 * scale * photo.naturalWidth) / width}%`;
      views[1].disabled = false;
    },
    /** Which object is compared; null if none is. */
    get compared() { return shown; },
    pick,
  };
}
