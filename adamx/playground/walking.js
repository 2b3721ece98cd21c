// Paths of optimizers over a surface. SURFACES and TWINS hold what was translated.

/** Uniform numbers in [0, 1) from a seed (mulberry32). */
function uniformFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** What each step adds to the gradient, the same for all optimizers. */
function disturbances(surface, setting) {
  const uniform = uniformFrom(setting.seed);
  const made = [];
  for (let step = 0; step < setting.steps; step++) {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform())) * setting.noise;
    const angle = 2 * Math.PI * uniform();
    made.push({
      noise: [radius * Math.cos(angle), radius * Math.sin(angle)],
      seen: surface.seen.map((share) => (uniform() < share ? 1 : 0)),
    });
  }
  return made;
}

/**
 * The path of one optimizer: points and losses from the start on, and for each step the
 * effective rates and the slots. `stopped` is the step after which it was not finite.
 */
function walk(surface, twin, hyperparameters, setting) {
  let p = [...setting.start];
  let [s] = twin.init(hyperparameters, p);
  let [[loss], slope, diagonal] = surface.measure(p);
  const path = { points: [p], losses: [loss], rates: [], slots: [], stopped: null };
  for (const { noise, seen } of disturbances(surface, setting)) {
    const g = slope.map((x, i) => x * seen[i] + noise[i]);
    const d = diagonal.map((x, i) => x * seen[i]);
    let update;
    [update, s] = twin.step(hyperparameters, g, d, s, p);
    const next = p.map((x, i) => x + update[i]);
    const measured = surface.measure(next);
    if (![...next, measured[0][0]].every(Number.isFinite)) {
      path.stopped = path.rates.length;
      break;
    }
    p = next;
    [[loss], slope, diagonal] = measured;
    path.points.push(p);
    path.losses.push(loss);
    path.rates.push(update.map((u, i) => (g[i] === 0 ? NaN : -u / g[i])));
    path.slots.push(twin.slots.map(({ place }) => [s[place], s[place + 1]]));
  }
  return path;
}
