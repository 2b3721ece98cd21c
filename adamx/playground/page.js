// The page: one setting, what follows from it, and the controls that change it.

const at = (id) => document.getElementById(id);
const dark = matchMedia("(prefers-color-scheme: dark)");
let setting;
let walks = [];
let cards = new Map();
let frame = 0;
let playing = null;
let waiting = false;

function colours() {
  const names = ["paper", "ink", "soft", "rule"];
  const style = getComputedStyle(document.documentElement);
  const found = Object.fromEntries(
    names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
  );
  const lines = [...COLOURS];
  if (dark.matches) lines.splice(-1, 1, "#ffffff"); // Black is not seen there.
  const grey = (x) => [x, x, x];
  const relief = dark.matches
    ? [grey(28), grey(74), grey(96)]
    : [grey(250), grey(206), grey(255)];
  return { ...found, lines, relief };
}

/** Compute the paths, and show all of them. */
function update({ keepFrame = false } = {}) {
  const surface = SURFACES[setting.surface];
  walks = setting.optimizers.map((choice, place) => {
    const values = valuesOf(choice, setting.surface);
    const path = walk(surface, TWINS[choice.name], values, setting);
    return { choice, values, path, style: look(place, colours()) };
  });
  frame = keepFrame ? Math.min(frame, setting.steps) : setting.steps;
  history.replaceState(null, "", toLink(setting));
  writeControls();
  draw();
}

/** As `update`, at most once for each picture of the screen. */
function soon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    update({ keepFrame: frame < setting.steps });
  });
}

function writeControls() {
  const surface = SURFACES[setting.surface];
  at("surface").value = setting.surface;
  at("about").textContent = surface.about;
  [at("x").value, at("y").value] = setting.start;
  for (const name of Object.keys(LIMITS)) at(name).value = setting[name];
  at("noise-slider").value = setting.noise;
  at("frame").max = setting.steps;
  const chosen = setting.optimizers.map(({ name }) => name);
  for (const box of at("menu").querySelectorAll("input")) {
    box.checked = chosen.includes(box.value);
  }
  writeCards(chosen);
  const kept = at("kept").value;
  at("kept").replaceChildren(...chosen.map((name) => new Option(name, name)));
  const keeps = chosen.filter((name) => TWINS[name].slots.length);
  at("kept").value = chosen.includes(kept) ? kept : (keeps.at(-1) ?? chosen[0] ?? "");
}

function writeCards(chosen) {
  const old = cards;
  const theme = colours();
  cards = new Map();
  walks.forEach(({ choice, values, style }, i) => {
    const wide = matchMedia("(min-width: 50rem)").matches;
    const made =
      old.get(choice.name) ??
      card(
        choice,
        wide && i === walks.length - 1,
        (name, value) => changed(choice.name, name, value),
        () => toggle(choice.name, false),
      );
    cards.set(choice.name, made);
    if (at("cards").children[i] !== made.element) {
      at("cards").insertBefore(made.element, at("cards").children[i] ?? null);
    }
    made.refresh(values, style, theme);
  });
  for (const [name, { element }] of old) if (!chosen.includes(name)) element.remove();
}

function changed(optimizer, name, value) {
  const choice = setting.optimizers.find((each) => each.name === optimizer);
  const refused = value === null ? "" : refusal(optimizer, name, value);
  at("said").textContent = refused;
  if (refused) return writeControls();
  if (value === null) delete choice.changed[name];
  else choice.changed[name] = value;
  soon();
}

function toggle(name, on) {
  const others = setting.optimizers.filter((choice) => choice.name !== name);
  setting.optimizers = on ? [...others, { name, changed: {} }] : others;
  if (!on && at("cards").contains(document.activeElement)) {
    at("picker").querySelector("summary").focus();
  }
  update({ keepFrame: frame < setting.steps });
}

function draw() {
  const theme = colours();
  const { steps } = setting;
  const surface = SURFACES[setting.surface];
  at("frame").value = frame;
  at("at").textContent = frame;
  drawSurface(at("map"), surface, walks, frame, setting.start, theme);
  const rules = { log: true, frame, steps, colours: theme };
  const losses = walks.map(({ path, style }) => ({ values: path.losses, style }));
  drawLines(at("losses"), losses, rules);
  ["rate-x", "rate-y"].forEach((id, axis) => {
    const rates = walks.map(({ path, style }) => {
      return { values: path.rates.map((pair) => pair[axis]), style, from: 1 };
    });
    drawLines(at(id), rates, rules);
  });
  drawMoments({ ...rules, log: false });
  at("table").replaceChildren(...walks.map(tableRow));
  const where = setting.start.map((v) => v.toPrecision(3)).join(", ");
  const last = walks.map(({ choice, path }) => {
    return `${choice.name} ${written(rounded(path.losses.at(-1)))}`;
  });
  at("map").ariaLabel = `${surface.title}, paths from (${where}). Arrow keys move it.`;
  at("losses").ariaLabel = `Loss over ${steps} steps; at the end ${last.join(", ")}.`;
  at("rate-x").ariaLabel = `Effective rates of x over ${steps} steps.`;
  at("rate-y").ariaLabel = `Effective rates of y over ${steps} steps.`;
}

function tableRow({ choice, path, style }) {
  const shown = Math.min(frame, path.losses.length - 1);
  const cells = [...path.points[shown], path.losses[shown]].map(rounded).map(written);
  if (path.stopped !== null && frame > path.stopped) {
    cells[2] += `, diverged at step ${path.stopped + 1}`;
  }
  const glyph = element("span", { textContent: GLYPHS[style.marker] });
  glyph.setAttribute("aria-hidden", "true");
  glyph.style.color = style.colour;
  const head = element("th", { scope: "row" }, glyph, ` ${choice.name}`);
  const rest = cells.map((textContent) => element("td", { textContent }));
  return element("tr", {}, head, ...rest);
}

function drawMoments(rules) {
  const found = walks.find(({ choice }) => choice.name === at("kept").value);
  const slots = found ? TWINS[found.choice.name].slots : [];
  const held = at("moments");
  const nothing = "It keeps nothing for each parameter.";
  if (held.dataset.shown !== slots.map(({ label }) => label).join() || !slots.length) {
    held.dataset.shown = slots.map(({ label }) => label).join();
    const figures = slots.map(({ label }) => {
      const canvas = element("canvas", { ariaLabel: `${label} over the steps` });
      canvas.setAttribute("role", "img");
      const caption = element("figcaption", { textContent: label });
      return element("figure", {}, caption, canvas);
    });
    if (!slots.length) figures.push(element("p", { textContent: nothing }));
    held.replaceChildren(...figures);
  }
  slots.forEach((_, i) => {
    const { colour, marker } = found.style;
    const lines = [0, 1].map((axis) => ({
      values: found.path.slots.map((pairs) => pairs[i][axis]),
      style: { colour, marker, dash: axis ? [5, 4] : [] },
      from: 1,
    }));
    drawLines(held.querySelectorAll("canvas")[i], lines, rules);
  });
}

function show(step) {
  frame = Math.max(0, Math.min(setting.steps, step));
  draw();
}

function play(on) {
  cancelAnimationFrame(playing);
  playing = null;
  at("play").textContent = on ? "Pause" : "Play";
  if (!on) return;
  const from = frame >= setting.steps ? 0 : frame;
  const began = performance.now();
  const seconds = Math.min(12, Math.max(4, setting.steps / 40));
  const next = (now) => {
    const share = Math.max(0, now - began) / 1000 / seconds;
    show(Math.floor(from + share * setting.steps));
    if (frame >= setting.steps) play(false);
    else playing = requestAnimationFrame(next);
  };
  playing = requestAnimationFrame(next);
}

function moveStart(x, y) {
  setting.start = [x, y].map((v) => Number(v.toPrecision(4)));
  soon();
}

function listen() {
  at("surface").addEventListener("change", () => {
    setting = onSurface(setting, at("surface").value);
    update();
  });
  for (const id of ["x", "y"]) {
    at(id).addEventListener("change", () => {
      const both = [at("x"), at("y")].map((field) => field.valueAsNumber);
      if (both.every(Number.isFinite)) moveStart(...both);
      else writeControls();
    });
  }
  for (const [id, [low, high]] of Object.entries(LIMITS)) {
    at(id).addEventListener("change", () => {
      const given = at(id).valueAsNumber;
      const whole = id === "noise" ? given : Math.round(given);
      if (Number.isFinite(whole)) setting[id] = Math.min(high, Math.max(low, whole));
      update();
    });
  }
  at("noise-slider").addEventListener("input", () => {
    setting.noise = at("noise-slider").valueAsNumber;
    soon();
  });
  at("map").addEventListener("pointerdown", (event) => {
    const box = at("map").getBoundingClientRect();
    const { x, y } = SURFACES[setting.surface];
    const across = (event.clientX - box.left) / box.width;
    const down = (event.clientY - box.top) / box.height;
    moveStart(x[0] + across * (x[1] - x[0]), y[1] - down * (y[1] - y[0]));
  });
  at("map").addEventListener("keydown", (event) => {
    const moves = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, 1],
      ArrowDown: [0, -1],
    };
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const { x, y } = SURFACES[setting.surface];
    const far = event.shiftKey ? 0.1 : 0.01;
    const [right, up] = [far * (x[1] - x[0]), far * (y[1] - y[0])];
    moveStart(setting.start[0] + move[0] * right, setting.start[1] + move[1] * up);
  });
  at("play").addEventListener("click", () => play(playing === null));
  at("back").addEventListener("click", () => (play(false), show(frame - 1)));
  at("on").addEventListener("click", () => (play(false), show(frame + 1)));
  at("frame").addEventListener("input", () => {
    play(false);
    show(at("frame").valueAsNumber);
  });
  at("kept").addEventListener("change", draw);
  at("anew").addEventListener("click", () => open(""));
  at("copy").addEventListener("click", copy);
  dark.addEventListener("change", () => update({ keepFrame: true }));
  new ResizeObserver(draw).observe(at("map"));
  addEventListener("hashchange", () => open(location.hash));
}

async function copy() {
  try {
    await navigator.clipboard.writeText(location.href);
    at("said").textContent = "The link is copied.";
  } catch {
    at("said").textContent = `The browser does not allow it; copy this: ${location.href}`;
  }
}

function open(link) {
  const found = fromLink(link);
  setting = found.setting;
  at("said").textContent = found.wrong.join(" ");
  update();
}

at("surface").append(
  ...Object.entries(SURFACES).map(([name, { title }]) => new Option(title, name)),
);
at("menu").append(...menu(toggle));
setting = firstSetting();
open(location.hash);
listen();

// For the checks of the documentation, and for the console.
globalThis.playground = {
  TWINS,
  SURFACES,
  disturbances,
  walk,
  fromLink,
  toLink,
  setting: () => setting,
};
