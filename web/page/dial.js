// A dial for a compass bearing: 0 up, 90 right, clockwise. A slider for the keyboard and for screen readers.

const NAMES = ["back", "back right", "right", "front right", "front", "front left", "left", "back left"];
const STEPS = { ArrowRight: 5, ArrowUp: 5, ArrowLeft: -5, ArrowDown: -5, PageUp: 45, PageDown: -45 };

/** Makes the element a dial; `changed` is called with each new value. */
export function makeDial(element, value, changed) {
  const needle = element.querySelector("#needle");
  const angle = document.getElementById("angle"), direction = document.getElementById("direction");
  drawTicks(element.querySelector("#ticks"));

  const show = () => {
    const name = NAMES[Math.round(value / 45) % 8];
    needle.setAttribute("transform", `rotate(${value})`);
    angle.textContent = `${value}°`;
    direction.textContent = `falls to the ${name}`;
    element.setAttribute("aria-valuenow", value);
    element.setAttribute("aria-valuetext", `${value} degrees, to the ${name}`);
  };
  const set = (next) => {
    next = ((Math.round(next) % 360) + 360) % 360;
    if (next === value) return;
    value = next;
    show();
    changed(value);
  };
  const point = (event) => {
    const { left, top, width, height } = element.getBoundingClientRect();
    const x = event.clientX - left - width / 2, y = event.clientY - top - height / 2;
    if (Math.hypot(x, y) > 4) set((Math.atan2(x, -y) * 180) / Math.PI);
  };
  const disabled = () => element.getAttribute("aria-disabled") === "true";

  element.addEventListener("keydown", (event) => {
    if (disabled() || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key in STEPS) set(value + (event.shiftKey ? Math.sign(STEPS[event.key]) : STEPS[event.key]));
    else if (event.key === "Home") set(0);
    else if (event.key === "End") set(359);
    else return;
    event.preventDefault();
  });
  element.addEventListener("pointerdown", (event) => {
    if (disabled() || event.button !== 0) return;
    element.setPointerCapture(event.pointerId);
    point(event);
  });
  element.addEventListener("pointermove", (event) => {
    if (element.hasPointerCapture(event.pointerId)) point(event);
  });
  show();
  return {
    get value() { return value; },
    enable(on) {
      element.setAttribute("aria-disabled", String(!on));
      element.tabIndex = on ? 0 : -1;
    },
  };
}

function drawTicks(group) {
  for (let angle = 0; angle < 360; angle += 15) {
    const tick = document.createElementNS("http://www.w3.org/2000/svg", "line");
    const long = angle % 45 === 0;
    for (const [name, at] of Object.entries({ y1: long ? -44.5 : -46, y2: -48.5 })) tick.setAttribute(name, at);
    tick.setAttribute("transform", `rotate(${angle})`);
    group.append(tick);
  }
}
