// The setting, and the link that holds it: #s=beale&x=1&y=1.5&o=adam;b1=0.5&o=sgd

const LIMITS = { steps: [1, 5000], noise: [0, 1000], seed: [0, 4294967295] };

/** The setting at first: four optimizers that differ at a glance. */
function firstSetting() {
  const setting = { steps: 200, noise: 0, seed: 0, optimizers: [] };
  for (const name of FIRST) setting.optimizers.push({ name, changed: {} });
  return onSurface(setting, Object.keys(SURFACES)[0]);
}

/** The setting on another surface, from that surface's own start. */
function onSurface(setting, surface) {
  return { ...setting, surface, start: [...SURFACES[surface].start] };
}

/** The hyperparameters of a chosen optimizer by name: changed ones, and the others. */
function valuesOf(choice, surface) {
  const twin = TWINS[choice.name];
  return twin.hyperparameters.map(({ name, value }) => {
    if (name in choice.changed) return choice.changed[name];
    const proportional = twin.proportional && name === "learning_rate";
    return proportional ? SURFACES[surface].sgdRate : value;
  });
}

function toLink(setting) {
  const pairs = [
    ["s", setting.surface],
    ["x", setting.start[0]],
    ["y", setting.start[1]],
    ["steps", setting.steps],
    ["noise", setting.noise],
    ["seed", setting.seed],
  ];
  for (const { name, changed } of setting.optimizers) {
    const numbers = Object.entries(changed).map(([key, value]) => `;${key}=${value}`);
    pairs.push(["o", name + numbers.join("")]);
  }
  return "#" + pairs.map(([key, value]) => `${key}=${value}`).join("&");
}

/** The setting of a link, and a sentence for each thing in it that is not known. */
function fromLink(link) {
  let setting = firstSetting();
  const wrong = [];
  const pairs = link.replace(/^#/, "").split("&").filter(Boolean);
  const given = pairs.map((pair) => decodeURIComponent(pair).split(/=(.*)/s));
  const surface = given.find(([key]) => key === "s")?.[1];
  if (surface in SURFACES) setting = onSurface(setting, surface);
  else if (surface !== undefined) wrong.push(`There is no surface “${surface}”.`);
  const chosen = [];
  for (const [key, text = ""] of given) {
    const number = text.trim() === "" ? NaN : Number(text);
    if (key === "o") {
      const choice = chosenBy(text, wrong);
      if (choice) chosen.push(choice);
    } else if (key === "x" || key === "y") {
      if (Number.isFinite(number)) setting.start[key === "x" ? 0 : 1] = number;
      else wrong.push(`${key} must be a number, not “${text}”.`);
    } else if (key in LIMITS) {
      const [low, high] = LIMITS[key];
      const whole = key === "noise" || Number.isInteger(number);
      if (number >= low && number <= high && whole) setting[key] = number;
      else wrong.push(`${key} must lie in [${low}, ${high}], not “${text}”.`);
    } else if (key !== "s") {
      wrong.push(`The link has “${key}”, which means nothing here.`);
    }
  }
  if (given.some(([key]) => key === "o")) setting.optimizers = chosen;
  return { setting, wrong };
}

/** What must hold for a number of an optimizer, as a sentence; "" where it holds. */
function refusal(optimizer, name, number) {
  const { allowed } = TWINS[optimizer].hyperparameters.find((h) => h.name === name);
  for (const { low, high, closed, must } of allowed) {
    const above = low === null || (closed[0] === "[" ? number >= low : number > low);
    const below = high === null || (closed[1] === "]" ? number <= high : number < high);
    if (!above || !below) return `${name} of ${optimizer} must ${must}, not ${number}.`;
  }
  return "";
}

function chosenBy(text, wrong) {
  const [name, ...numbers] = text.split(";");
  if (!Object.hasOwn(TWINS, name)) {
    const why = LEFT_OUT.includes(name) ? "It is left out here: see below." : "";
    wrong.push(`There is no optimizer “${name}” on this page. ${why}`);
    return null;
  }
  const known = TWINS[name].hyperparameters.map((h) => h.name);
  const changed = {};
  for (const pair of numbers) {
    const [key, value] = pair.split("=");
    const number = value?.trim() ? Number(value) : NaN;
    if (!known.includes(key) || !Number.isFinite(number)) {
      wrong.push(`${name} cannot have “${pair}”.`);
    } else {
      const refused = refusal(name, key, number);
      if (refused) wrong.push(refused);
      else changed[key] = number;
    }
  }
  return { name, changed };
}
