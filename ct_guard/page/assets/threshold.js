/* What happens at a threshold: everything here is a look into the counts of the file. */

const NOTHING = content.thresholds.length; // the place behind the last threshold: no answer is given
const state = { of: 0, place: 0, error: content.costs.error, escalation: content.costs.escalation };

function point(of, place) {
  const one = estimators[of];
  const nothing = place === NOTHING;
  const answered = nothing ? 0 : one.answered[place];
  const errors = nothing ? 0 : one.errors[place];
  const escalated = content.rows - answered;
  return {
    threshold: nothing ? null : content.thresholds[place],
    answered,
    errors,
    escalated,
    rightEscalated: escalated - (content.wrong - errors),
    coverage: answered / content.rows,
    risk: answered ? errors / answered : null,
    cost: 100 * (errors * state.error + escalated * state.escalation) / content.rows,
  };
}

/* The most lenient place with the least cost on these rows. */
function leastCost(of) {
  let best = 0;
  for (let place = 1; place <= NOTHING; place += 1)
    if (point(of, place).cost < point(of, best).cost - 1e-12) best = place;
  return best;
}

/* The place of the threshold that is nearest. */
function nearest(threshold) {
  let low = 0;
  let high = NOTHING - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (content.thresholds[middle] < threshold) low = middle + 1;
    else high = middle;
  }
  const before = Math.max(0, low - 1);
  return threshold - content.thresholds[before] < content.thresholds[low] - threshold ? before : low;
}

function showPoint() {
  const now = point(state.of, state.place);
  const at = known(now.threshold) ? String(now.threshold) : "none";
  const [low, high] = wilson(now.errors, now.answered);
  byId("slider").value = state.place;
  byId("slider").setAttribute("aria-valuetext", known(now.threshold)
    ? `P(correct) at least ${at}: ${share(now.coverage)} answered, ${share(now.risk)} of them wrong`
    : "nothing is answered");
  if (document.activeElement !== byId("typed")) byId("typed").value = known(now.threshold) ? at : "";
  put("at", at);
  put("at-note", known(now.threshold) ? "P(correct) at least" : "nothing is answered");
  put("answered", share(now.coverage));
  put("answered-note", `${count(now.answered)} of ${count(content.rows)}`);
  put("errors", share(now.risk));
  put("errors-note", now.answered
    ? `${count(now.errors)} of ${count(now.answered)}; 95%: ${share(low)} to ${share(high)}` : "none is answered");
  put("escalated", share(now.escalated / content.rows));
  put("escalated-note", `${count(now.escalated)}, of which ${count(now.rightEscalated)} were right`);
  put("cost", amount(now.cost));
  put("cost-note", `all answered: ${amount(point(state.of, 0).cost)}; none: ${amount(point(state.of, NOTHING).cost)}`);
  fillTable(byId("points"),
    ["estimator", "answered", "wrong among them", "escalated", "right ones among these", "cost of 100"],
    estimators.map((one, of) => {
      const its = point(of, state.place);
      return [one.name, `${share(its.coverage)} (${count(its.answered)})`,
        its.answered ? `${share(its.risk)} (${count(its.errors)})` : "–", count(its.escalated),
        count(its.rightEscalated), amount(its.cost)];
    }));
  markCharts(now);
}

function showAdvice() {
  const best = leastCost(state.of);
  const at = point(state.of, best);
  const rule = state.error > 0 ? 1 - state.escalation / state.error : 0;
  const words = [];
  if (at.answered === 0)
    words.push("At these costs no answer is worth giving: escalating all of them costs least.");
  else
    words.push(`On these rows, in hindsight, the least cost is ${amount(at.cost)} for 100 answers, at P(correct) ≥ ${at.threshold}: ${share(at.coverage)} answered, ${share(at.risk)} of them wrong.`);
  if (rule > 0)
    words.push(`If P(correct) is what it says, an answer is worth giving from 1 − ${state.escalation}/${state.error} = ${number(rule)} on.`);
  else words.push("An escalation costs at least as much as an error: answering everything costs least.");
  words.push("Costs are in a unit of yours; a threshold for new answers is one to certify, not to read off here.");
  put("advice", words.join(" "));
}

let asked = false;
function goTo(place) {
  state.place = Math.min(NOTHING, Math.max(0, place));
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; showPoint(); });
}

function startThreshold() {
  const of = byId("of");
  of.append(...estimators.map((one, at) => make("option", { value: at }, one.name)));
  byId("of-label").hidden = estimators.length === 1;
  byId("slider").max = NOTHING;
  byId("error-cost").value = state.error;
  byId("escalation-cost").value = state.escalation;
  of.addEventListener("change", () => {
    state.of = Number(of.value);
    showAdvice();
    drawShares();
    goTo(state.place);
    showAnswers();
  });
  byId("slider").addEventListener("input", (event) => goTo(Number(event.target.value)));
  byId("typed").addEventListener("change", (event) => {
    const typed = event.target.valueAsNumber;
    if (Number.isFinite(typed)) goTo(nearest(Math.min(1, Math.max(0, typed))));
  });
  byId("typed").addEventListener("blur", () => goTo(state.place));
  for (const [id, name] of [["error-cost", "error"], ["escalation-cost", "escalation"]])
    byId(id).addEventListener("input", (event) => {
      const cost = event.target.valueAsNumber;
      const fits = Number.isFinite(cost) && cost >= 0;
      event.target.setAttribute("aria-invalid", String(!fits));
      if (!fits) return;
      state[name] = cost;
      showAdvice();
      changeCosts();
      goTo(state.place);
    });
  byId("least").addEventListener("click", () => goTo(leastCost(state.of)));
  const promised = estimators[0].certificates.find((one) => known(one.threshold) && !one.void);
  state.place = promised ? nearest(promised.threshold) : leastCost(0);
}
