/* What does not change: figures, slices, certificates, evidence, where all of it comes from. */

function showFigures() {
  const names = [...new Set(estimators.flatMap((one) => one.figures.map((figure) => figure.name)))];
  fillTable(byId("figures-table"), ["", ...estimators.map((one) => one.name)], names.map((name) => {
    const better = { higher: " ↑", lower: " ↓" }[estimators[0].figures.find((one) => one.name === name)?.better] ?? "";
    return [name + better, ...estimators.map((one) => {
      const figure = one.figures.find((other) => other.name === name);
      if (!figure) return "–";
      const cell = withInterval(figure.value, figure.low, figure.high);
      if (figure.note) cell.append(make("br"), make("span", { class: "note" }, figure.note));
      return cell;
    })];
  }));
  for (const found of content.differences) {
    const table = make("table");
    fillTable(table, ["", "difference"], found.figures.map((one) => [one.name, withInterval(one.value, one.low, one.high, signed)]));
    byId("differences").append(
      make("h3", {}, `${found.one} less ${found.other}, row by row (an interval that excludes 0 says that they differ)`),
      make("div", { class: "wide" }, table));
  }
}

function showSlices() {
  const place = byId("slices-tables");
  for (const one of estimators)
    for (const { column, parts } of one.slices) {
      const table = make("table", { "data-column": column });
      fillTable(table, [column, "answers", "right", "mean P(correct)", "P(correct) less right", "AUROC", "ECE", "its noise floor"],
        parts.map((part) => [part.name, count(part.rows), withInterval(part.accuracy, part.low, part.high, share), share(part.mean_p),
          withInterval(part.gap, part.gap_low, part.gap_high, signed), number(part.auroc), number(part.ece), number(part.floor)]));
      const whose = estimators.length > 1 ? `, by ${one.name}` : "";
      place.append(make("h3", {}, (column === "model" ? "Answering models" : `By ${column}`) + whose), make("div", { class: "wide" }, table));
    }
  if (!place.hasChildNodes()) place.append(make("p", { class: "note" }, "No row names its model, and no column was asked for (--by COLUMN)."));
}

function showCertificates() {
  const place = byId("certificates");
  estimators.forEach((one, of) => {
    for (const found of one.certificates) {
      const claim = `at most ${share(found.alpha)} wrong among the answered, with probability ${share(1 - found.delta)} over the draw of ${count(found.n)} questions`;
      const card = make("div", { class: "card" });
      if (found.void) card.append(make("p", { class: "wrong" }, `${found.void.reason} (since ${found.void.at}). It promises nothing any more.`));
      if (known(found.threshold)) {
        const go = make("button", { type: "button" }, `Go to P(correct) ≥ ${found.threshold}`);
        go.addEventListener("click", () => {
          state.of = of;
          byId("of").value = of;
          byId("of").dispatchEvent(new Event("change"));
          goTo(nearest(found.threshold));
        });
        const risk = found.here.answered ? share(found.here.errors / found.here.answered) : "–";
        card.append(make("p", {}, `${one.name}: P(correct) ≥ ${found.threshold} was certified for ${claim}.`),
          make("p", {}, `There, ${count(found.answered)} were answered, ${count(found.errors)} of them wrong. On the rows of this page: ${count(found.here.answered)} answered (${share(found.here.answered / content.rows)}), ${count(found.here.errors)} of them wrong (${risk}).`));
        if (known(found.arithmetic)) card.append(make("p", { class: "note" }, `Certified for logits of ${found.arithmetic}.`));
        if (found.grader_false_pass > 0) card.append(make("p", { class: "note" }, `Of wrong answers, the grader is taken to pass ${share(found.grader_false_pass)}.`));
        card.append(go);
      } else card.append(make("p", {}, `${one.name}: no threshold could be certified for ${claim}: ${found.reason}`));
      place.append(card);
    }
  });
  if (!place.hasChildNodes())
    place.append(make("p", { class: "note" }, "None: name the estimator (-e) that carries a certificate, or certify a threshold with ct-guard certify."));
}

function showPromises() {
  const place = byId("promises");
  for (const { name, promises } of estimators)
    for (const { title, claim, note, heads, parts, void: broken } of promises) {
      const card = make("div", { class: "card" });
      card.append(make("h4", {}, estimators.length > 1 ? `${title}, by ${name}` : title));
      for (const line of broken) card.append(make("p", { class: "wrong" }, `${line} It promises nothing any more.`));
      card.append(make("p", {}, claim));
      if (parts.length) {
        const table = make("table");
        fillTable(table, heads, parts);
        card.append(make("div", { class: "wide" }, table));
      }
      if (note) card.append(make("p", { class: "note" }, note));
      place.append(card);
    }
  byId("promises-head").hidden = !place.hasChildNodes();
}

function showEvidence() {
  const place = byId("evidence-tables");
  for (const { name, evidence } of estimators) {
    if (estimators.length > 1) place.append(make("h3", {}, name));
    if (!evidence.adds.length) {
      place.append(make("p", { class: "note" }, evidence.why));
      continue;
    }
    const table = make("table");
    fillTable(table, ["evidence", "log loss that leaving it out would cost"], evidence.adds.map((one) => [one.name, signed(one.cost, 4)]));
    place.append(make("p", {}, `As it was fitted, on questions that were held out; with all of it the log loss was ${number(evidence.log_loss, 4)}.`),
      make("div", { class: "wide" }, table));
  }
}

function showRest() {
  put("title", content.title);
  put("summary", `${count(content.rows)} graded answers to ${count(content.questions)} questions; ${count(content.wrong)} of them (${share(content.wrong / content.rows)}) are wrong.`);
  const remarks = estimators.flatMap((one) => one.remarks.map((line) => (estimators.length > 1 ? `${one.name}: ${line}` : line)));
  byId("remarks").append(...[...content.remarks, ...remarks].map((line) => make("li", {}, line)));
  byId("left-out").append(...content.left_out.map((line) => make("li", {}, line)));
  fillTable(byId("provenance-table"), ["of", "what", ""], content.provenance.map((one) => [one.of, one.what, one.value]));
  fillTable(byId("bins"), ["P(correct)", ...(estimators.length > 1 ? ["estimator"] : []), "answers", "mean P(correct)", "right"],
    estimators.flatMap((one) => one.reliability.map((bin) => [`${bin.from} to ${bin.to}`, ...(estimators.length > 1 ? [one.name] : []),
      count(bin.right + bin.wrong), number(bin.mean_p), withInterval(bin.accuracy, bin.low, bin.high, share)])));
}
